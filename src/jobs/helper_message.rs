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
    /// To load a whole model in place of the one that it has.
    LoadModel {
        /// A file with the model.
        model: PathBuf,
        /// A file with its inputs, as the initializers of a model.
        inputs: PathBuf,
    },
    /// To run it once, for what only a first run does.
    FirstRun,
    /// To warm it up, as nobody else uses the GPU now.
    Settle,
    /// To time so many of its runs, as nobody else uses the GPU now.
    Run {
        /// How many runs the time is the mean of.
        repeats: usize,
    },
    /// To run it once on other inputs.
    Outputs {
        /// A file with them.
        inputs: PathBuf,
        /// The file to write its outputs to.
        outputs: PathBuf,
    },
    /// To let the model go; it is not answered.
    Unload,
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
    /// What was asked of the model is done.
    Done {
        /// What a run takes in milliseconds, where it was timed.
        ms: f64,
        /// How many runs its times are the mean of.
        repeats: usize,
        /// Whether it gives outputs.
        gives_outputs: bool,
    },
    /// It did not work.
    Failed(String),
}
