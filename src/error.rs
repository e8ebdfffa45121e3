//! The errors that the library returns.
//!
//! What decides on the next step is data in the variant; the command line tells which flag helps (`flags::hints`).

mod device;
mod library;
mod samples;
mod session;
mod shapes;

use std::path::PathBuf;

pub use ort::ErrorCode;

pub use device::DeviceError;
pub use library::LibraryError;
pub use samples::{OpenAxes, SamplesError, SamplesFault};
pub(crate) use session::tells_out_of_memory;
pub use session::{SessionError, SessionErrorKind};
pub use shapes::{AssumedDim, AssumedInput, ShapeError, SymbolicShapes};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file concerned.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are not an ONNX model, or the model breaks a rule of the format.
    #[error("{0}")]
    Model(String),
    /// Weights lie in a file that is a link, and may lead out of the model's folder.
    #[error("{0}")]
    LinkedWeights(String),
    /// A model that came as bytes keeps weights in other files, and nobody says in which folder they lie.
    #[error("{0} keeps weights in other files, and came without a folder to look for them")]
    UnplacedWeights(String),
    /// A tensor's declared size and its bytes disagree, or its type cannot be handled.
    #[error("tensor '{name}': {what}")]
    Tensor {
        /// The tensor's name in the file.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// ONNX Runtime could not be loaded.
    #[error("{0}")]
    Library(LibraryError),
    /// A model does not run at shapes that were assumed for what it leaves open.
    #[error("{0}")]
    SymbolicShapes(SymbolicShapes),
    /// A shape that was asked for is not one of the model's.
    #[error("{0}")]
    Shape(ShapeError),
    /// Samples do not serve the model.
    #[error("{0}")]
    Samples(SamplesError),
    /// ONNX Runtime refused a model or a run failed.
    #[error("ONNX Runtime: {0}")]
    Session(SessionError),
    /// A device is not there, or failed.
    #[error("{0}")]
    Device(DeviceError),
    /// Another process times on the device, and the caller does not wait for it.
    #[error("{holder} times on this device")]
    Busy {
        /// The process, as far as it is known.
        holder: String,
    },
    /// The latency database could not be used.
    #[error("latency database {path}: {what}", path = path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The latency database was made by a newer program.
    #[error("latency database {path}: its tables are version {found}, newer than {known}", path = path.display())]
    DatabaseTooNew {
        /// The database file.
        path: PathBuf,
        /// The version of its tables.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// A profile was recorded on another device or with other software.
    #[error("the profile was recorded on {recorded}, this is {here}")]
    ForeignProfile {
        /// The device and the software of the profile.
        recorded: String,
        /// Those at hand.
        here: String,
    },
    /// A plan does not fit the graph.
    #[error("{0}")]
    Plan(String),
    /// A metric of the user's own failed, or gave no number.
    #[error("{0}")]
    Metric(String),
    /// The job was stopped.
    #[error("stopped; nothing was written, and what was measured is kept: run it again to go on from there")]
    Stopped,
    /// The command was called in a way that cannot work.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// Wraps an I/O error with the file it concerns.
    pub fn file(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File {
            path: path.into(),
            source,
        }
    }

    /// An error about one tensor.
    pub fn tensor(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Tensor {
            name: name.into(),
            what: what.into(),
        }
    }

    /// An error of a device, in the words of its driver or of another process.
    pub fn device(message: impl Into<String>) -> Self {
        Self::Device(DeviceError::new(message))
    }

    /// The same error about the model in `path`: the file's name comes before the message.
    #[must_use]
    pub fn in_model(self, path: &std::path::Path) -> Self {
        let named = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
        match self {
            Self::Model(what) => Self::Model(named(&what)),
            Self::LinkedWeights(what) => Self::LinkedWeights(named(&what)),
            tensor @ Self::Tensor { .. } => Self::Model(named(&tensor)),
            Self::SymbolicShapes(shapes) => Self::SymbolicShapes(SymbolicShapes {
                model: Some(path.display().to_string()),
                ..shapes
            }),
            other => other,
        }
    }

    /// Whether memory of the machine or of the device ran out.
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::File { source, .. } => source.kind() == std::io::ErrorKind::OutOfMemory,
            Self::Session(error) => error.kind == SessionErrorKind::OutOfMemory,
            Self::Device(error) => matches!(error, DeviceError::OutOfMemory(_)),
            _ => false,
        }
    }
}

/// Keeps ONNX Runtime's code and message; the builder that some of its errors carry is dropped.
impl<R> From<ort::Error<R>> for Error {
    fn from(error: ort::Error<R>) -> Self {
        Self::Session(SessionError::new(error.code(), error.message()))
    }
}

impl SamplesFault {
    /// The error about samples of a file or folder.
    pub(crate) fn at(self, path: impl Into<PathBuf>) -> Error {
        Error::Samples(SamplesError {
            path: Some(path.into()),
            fault: self,
        })
    }
}

impl From<ShapeError> for Error {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
