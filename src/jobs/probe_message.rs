//! What a job and its helper processes say to one another: a JSON line each.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::device::CudaOptions;
use crate::profile::{Problem, Record};

/// What a helper is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// To open a GPU.
    Open {
        /// ONNX Runtime's shared library.
        library: PathBuf,
        /// The GPU.
        gpu: usize,
        /// Settings of the provider.
        options: CudaOptions,
    },
    /// To load the probes of these sessions.
    Load(Vec<Vec<Problem>>),
    /// To time them, as nobody else uses the GPU now.
    Time,
}

/// What a helper answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The GPU is open.
    Opened {
        /// What runs models there.
        stack: String,
    },
    /// All is loaded, and nothing runs.
    Loaded,
    /// The times.
    Timed(Vec<Record>),
    /// It did not work.
    Failed(String),
}
