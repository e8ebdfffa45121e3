//! What can go wrong with a model, as far as a scheduler acts on it.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::SessionErrorKind;

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The model, its data or its flags: the same comes out next time.
    Input,
    /// Dimensions that the model leaves open have to be given.
    #[serde(rename = "extents", alias = "symbolic_shapes")]
    SymbolicShapes,
    /// The machine: a device, a driver, a disk, a database. Worth another try, there or elsewhere.
    Machine,
    /// Memory of the machine or of the GPU ran out.
    Memory,
    /// The rewritten model's outputs differ from the original's.
    Verification,
    /// The time allowed for one model was up.
    Timeout,
    /// The process ended without an answer.
    Crash,
}

impl FailureKind {
    /// What an error is.
    pub fn of(error: &Error) -> Self {
        use std::io::ErrorKind;
        if error.is_out_of_memory() {
            return Self::Memory;
        }
        match error {
            Error::File { source, .. } => match source.kind() {
                ErrorKind::NotFound
                | ErrorKind::PermissionDenied
                | ErrorKind::InvalidData
                | ErrorKind::InvalidInput
                | ErrorKind::IsADirectory
                | ErrorKind::UnexpectedEof => Self::Input,
                _ => Self::Machine,
            },
            Error::SymbolicShapes(_) => Self::SymbolicShapes,
            Error::Session(e) => match e.kind {
                SessionErrorKind::Device | SessionErrorKind::MissingCudnn => Self::Machine,
                _ => Self::Input,
            },
            Error::Model(_)
            | Error::LinkedWeights(_)
            | Error::UnplacedWeights(_)
            | Error::Tensor { .. }
            | Error::Shape(_)
            | Error::Samples(_)
            | Error::Plan(_)
            | Error::Metric(_)
            | Error::ForeignProfile { .. }
            | Error::Usage(_) => Self::Input,
            Error::Library(_)
            | Error::Device(_)
            | Error::Busy { .. }
            | Error::Database { .. }
            | Error::DatabaseTooNew { .. }
            | Error::Stopped => Self::Machine,
        }
    }

    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Input => "bad input",
            Self::SymbolicShapes => "needs its shape",
            Self::Machine => "machine trouble",
            Self::Memory => "out of memory",
            Self::Verification => "outputs differ",
            Self::Timeout => "time was up",
            Self::Crash => "crashed",
        }
    }

    /// All of them, the one that decides the exit status first.
    pub const ALL: [Self; 7] = [
        Self::Machine,
        Self::Memory,
        Self::Timeout,
        Self::Crash,
        Self::Verification,
        Self::Input,
        Self::SymbolicShapes,
    ];
}

#[cfg(test)]
mod tests {
    use super::FailureKind;
    use crate::Error;
    use crate::error::{ErrorCode, SessionError, SymbolicShapes};

    #[test]
    fn errors_are_sorted_by_what_a_scheduler_can_do() {
        let kind = |e: Error| FailureKind::of(&e);
        let session = |what: &str| Error::Session(SessionError::new(ErrorCode::GenericFailure, what));
        let file = |k: std::io::ErrorKind| Error::file("a.onnx", k.into());
        assert_eq!(kind(Error::Model("not an ONNX model".into())), FailureKind::Input);
        let shapes = SymbolicShapes {
            model: None,
            inputs: Vec::new(),
            what: "incompatible dimensions".into(),
        };
        assert_eq!(kind(Error::SymbolicShapes(shapes)), FailureKind::SymbolicShapes);
        assert_eq!(kind(file(std::io::ErrorKind::NotFound)), FailureKind::Input);
        assert_eq!(kind(file(std::io::ErrorKind::StorageFull)), FailureKind::Machine);
        assert_eq!(kind(session("This is an invalid model")), FailureKind::Input);
        assert_eq!(
            kind(session("CUDA failure 700: an illegal memory access")),
            FailureKind::Machine
        );
        assert_eq!(kind(session("CUDA failure 2: out of memory")), FailureKind::Memory);
        assert_eq!(kind(session("std::bad_alloc")), FailureKind::Memory);
        assert_eq!(kind(Error::device("GPU 3 is not there")), FailureKind::Machine);
    }
}
