//! The errors that the library returns.

use std::path::PathBuf;

/// What went wrong, in words that end in what to do where that is known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file concerned.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are not an ONNX model, or the model breaks a rule of the format.
    #[error("{0}")]
    Model(String),
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
    Runtime(String),
    /// A model does not run at extents that were assumed for what it leaves open.
    #[error("{0}")]
    SymbolicShapes(String),
    /// ONNX Runtime refused a model or a run failed.
    #[error("ONNX Runtime: {0}")]
    Session(String),
    /// The device asked for is not there.
    #[error("{0}")]
    Device(String),
    /// Another process times on the device, and it was not wanted to wait for it.
    #[error("{0}")]
    Busy(String),
    /// The latency database could not be used.
    #[error("latency database {path}: {what}", path = path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A plan does not fit the graph.
    #[error("{0}")]
    Plan(String),
    /// It was asked to stop.
    #[error("stopped; nothing was written, and what was measured is kept: run it again to go on from there")]
    Stopped,
    /// The command was called in a way that cannot work.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// What to do about it, where its message does not say so.
    pub fn next_step(&self) -> Option<&'static str> {
        use std::io::ErrorKind;
        match self {
            Self::File { source, .. } => Some(match source.kind() {
                ErrorKind::NotFound => "check the path; relative ones start in the present folder",
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                    "make it readable (and its folder writable), or name another place"
                }
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space, or name a place on another disk",
                _ => "look at the disk and the file, then run it again",
            }),
            Self::Model(what) if what.contains("is not a plain file of its own inside the model's folder") => Some(
                "copy the folder with files in place of the links (cp -rL FOLDER COPY), or name it with --external-data-dir FOLDER: you then \
                 vouch for what lies there, and its links are followed",
            ),
            Self::Model(_) | Self::Tensor { .. } => Some(
                "export the model again, and check it with `check-model` of the onnx package; was it downloaded in full?",
            ),
            // ONNX Runtime loads its CUDA provider without cuDNN, and misses it at the first convolution.
            Self::Session(what) if what.contains("cuDNN is unavailable") => Some(concat!(
                "install cuDNN 9, for example with `pip install '",
                env!("SNAPPRUNE_ONNXRUNTIME_GPU"),
                "'`, or use --cpu; `snapprune doctor` shows what is missing",
            )),
            Self::Session(_) => Some(
                "`snapprune doctor` checks the installation; if ONNX Runtime alone cannot run the model either, export it again",
            ),
            Self::Device(_) => Some("`snapprune doctor` checks drivers and libraries"),
            Self::Database { .. } => Some("`snapprune db verify` checks it; --db names another file"),
            Self::Plan(_) => Some("make the plan for this very file with `snapprune plan`"),
            Self::Runtime(_) => Some("`snapprune doctor` checks the installation"),
            Self::Usage(_) => Some("`snapprune --help`, or `snapprune COMMAND --help`, shows how it is used"),
            Self::SymbolicShapes(_) => Some(
                "give the extents that the model was made for; where it comes from, or its preprocessing, tells them",
            ),
            Self::Busy(_) | Self::Stopped => None,
        }
    }

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
}

/// ONNX Runtime's errors carry the failing builder or nothing; only the message is kept.
impl<R> From<ort::Error<R>> for Error {
    fn from(error: ort::Error<R>) -> Self {
        Self::Session(error.to_string())
    }
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
