//! Why ONNX Runtime's library is not loaded.

use std::path::PathBuf;

/// Why ONNX Runtime could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    /// No library was found.
    #[error("ONNX Runtime was not found{}", inactive.as_ref().map_or(String::new(), |name| format!(
        ". A virtual environment {name} is here but not active, and nothing is loaded from a folder that may be anybody's"
    )))]
    NotFound {
        /// A virtual environment in the current folder that is not active.
        inactive: Option<String>,
    },
    /// The file that was named for it is not there.
    #[error("{} is not a file{}", path.display(), variable.map_or(String::new(), |v| format!(" ({v} names it)")))]
    NoFile {
        /// The file.
        path: PathBuf,
        /// The environment variable that names it; none where the caller does.
        variable: Option<&'static str>,
    },
    /// `LD_LIBRARY_PATH` would have a library loaded from the current folder.
    #[error(
        "LD_LIBRARY_PATH has an empty or relative part, so that {} would be loaded from where this was started. Leave that part \
         out (an empty one comes from a colon at the start, at the end, or before another)",
        file.display()
    )]
    Planted {
        /// The library in the current folder.
        file: PathBuf,
    },
    /// Another one is in use in this process.
    #[error(
        "{} is loaded already, and one process can use one ONNX Runtime only: start another process for {}",
        loaded.display(), other.display()
    )]
    Loaded {
        /// The one in use.
        loaded: PathBuf,
        /// The one asked for.
        other: PathBuf,
    },
    /// It is too old, of another architecture, or does not load.
    #[error("{} cannot be used: {why}", library.display())]
    Unusable {
        /// The library.
        library: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}
