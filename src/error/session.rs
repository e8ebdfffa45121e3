//! Errors of ONNX Runtime: its code, and what they mean for what is done next.

use ort::ErrorCode;

/// A model that ONNX Runtime refused, or a run that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionError {
    /// ONNX Runtime's code.
    pub code: ErrorCode,
    /// What decisions hang on.
    pub kind: SessionErrorKind,
    /// ONNX Runtime's message.
    pub message: String,
}

/// What a [`SessionError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionErrorKind {
    /// Memory of the machine or of the device ran out.
    OutOfMemory,
    /// The provider has no implementation of an operator at these types.
    NotImplemented,
    /// The bytes are no model, or the graph breaks a rule.
    InvalidModel,
    /// A tensor kept from an earlier run does not have the shape that the model declares for its output.
    OutputShape,
    /// Shapes do not fit each other.
    ShapeMismatch,
    /// The CUDA provider is loaded without cuDNN, and misses it at the first convolution.
    MissingCudnn,
    /// A device or its driver failed.
    Device,
    /// Anything else.
    Other,
}

impl SessionErrorKind {
    /// Whether other shapes of the inputs may help.
    pub fn concerns_shapes(self) -> bool {
        matches!(self, Self::OutputShape | Self::ShapeMismatch)
    }
}

impl SessionError {
    /// An error with ONNX Runtime's code and message. Only here messages are searched for words: ONNX Runtime gives a general
    /// code for memory that ran out, for failures of CUDA and for most shapes that do not fit.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let message = message.into();
        let kind = kind(code, &message);
        Self { code, kind, message }
    }
}

impl std::fmt::Display for SessionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

fn kind(code: ErrorCode, message: &str) -> SessionErrorKind {
    const OUTPUT: [&str; 2] = ["Invalid rank for output", "Got invalid dimensions for output"];
    const DEVICE: [&str; 4] = ["CUDA", "CUBLAS", "CUDNN", "cudaError"];
    let has = |signs: &[&str]| signs.iter().any(|sign| message.contains(sign));
    match code {
        _ if tells_out_of_memory(message) => SessionErrorKind::OutOfMemory,
        _ if has(&["cuDNN is unavailable"]) => SessionErrorKind::MissingCudnn,
        ErrorCode::NotImplemented => SessionErrorKind::NotImplemented,
        ErrorCode::InvalidProtobuf | ErrorCode::NoModel => SessionErrorKind::InvalidModel,
        _ if has(&OUTPUT) => SessionErrorKind::OutputShape,
        ErrorCode::DeviceReset => SessionErrorKind::Device,
        _ if has(&DEVICE) => SessionErrorKind::Device,
        _ if tells_of_shapes(message) => SessionErrorKind::ShapeMismatch,
        ErrorCode::InvalidGraph => SessionErrorKind::InvalidModel,
        ErrorCode::ExecutionProviderFailure => SessionErrorKind::Device,
        _ => SessionErrorKind::Other,
    }
}

/// Whether a message of ONNX Runtime or of a driver, or the end of a process's log, tells of memory that ran out.
pub(crate) fn tells_out_of_memory(text: &str) -> bool {
    const SIGNS: [&str; 8] = [
        "out of memory",
        "memory allocation of",
        "Failed to allocate memory",
        "bad_alloc",
        "CUDA_ERROR_OUT_OF_MEMORY",
        "ALLOC_FAILED",
        "Cannot allocate memory",
        "bad allocation",
    ];
    SIGNS.iter().any(|sign| text.contains(sign))
}

fn tells_of_shapes(message: &str) -> bool {
    const WORDS: [&str; 12] = [
        "shape",
        "dimension",
        "dim ",
        "dims",
        "rank",
        "size",
        "extent",
        "broadcast",
        "axis",
        "bounds",
        "reshape",
        "incompatible",
    ];
    let message = message.to_lowercase();
    WORDS.iter().any(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use super::{ErrorCode, SessionError, SessionErrorKind as Kind};

    #[test]
    fn errors_of_onnx_runtime_are_told_apart() {
        for (code, message, kind) in [
            (
                ErrorCode::GenericFailure,
                "CUDA failure 2: out of memory",
                Kind::OutOfMemory,
            ),
            (ErrorCode::RuntimeException, "std::bad_alloc", Kind::OutOfMemory),
            (
                ErrorCode::GenericFailure,
                "CUDA failure 700: an illegal memory access",
                Kind::Device,
            ),
            (
                ErrorCode::GenericFailure,
                "cuDNN is unavailable or disabled for CUDA",
                Kind::MissingCudnn,
            ),
            (
                ErrorCode::NotImplemented,
                "Could not find an implementation for Foo",
                Kind::NotImplemented,
            ),
            (
                ErrorCode::InvalidProtobuf,
                "Protobuf parsing failed.",
                Kind::InvalidModel,
            ),
            (ErrorCode::InvalidGraph, "This is an invalid model", Kind::InvalidModel),
            (
                ErrorCode::InvalidArgument,
                "Invalid rank for output: y",
                Kind::OutputShape,
            ),
            (
                ErrorCode::RuntimeException,
                "Attempting to broadcast an axis by 3",
                Kind::ShapeMismatch,
            ),
            (ErrorCode::GenericFailure, "no such name", Kind::Other),
        ] {
            assert_eq!(SessionError::new(code, message).kind, kind, "{message}");
        }
    }
}
