//! Samples that do not serve a model.

use std::path::PathBuf;

/// What is wrong with samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamplesError {
    /// The file or folder that they come from; none where they are made.
    pub path: Option<PathBuf>,
    /// What is wrong.
    pub fault: SamplesFault,
}

impl std::fmt::Display for SamplesError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}: {}", path.display(), self.fault),
            None => self.fault.fmt(f),
        }
    }
}

/// How samples do not serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamplesFault {
    /// Samples have another shape than the input.
    #[error("samples of shape {shape:?} do not fit input '{input}' {dims:?} (the first axis counts samples)")]
    Shape {
        /// The input.
        input: String,
        /// The shape of the samples.
        shape: Vec<usize>,
        /// The shape of the input.
        dims: Vec<usize>,
        /// What the model leaves open.
        open: OpenAxes,
    },
    /// Means or standard deviations that pixels cannot be scaled by.
    #[error("{0}")]
    Scaling(String),
    /// Labels that do not serve, or are not those of the samples.
    #[error("{0}")]
    Labels(String),
    /// Random samples were to be made for an input that does not take floats.
    #[error("input '{input}' is not of floats")]
    NotFloats {
        /// The input.
        input: String,
    },
    /// Anything else.
    #[error("{0}")]
    Contents(String),
}

/// Which axes of an input the file leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenAxes {
    /// None that matters.
    Fixed,
    /// Axes behind the first one; the first one too, so that it carries the batch.
    BehindBatch,
    /// Axes behind the first one only: one of them carries the batch.
    BatchBehind,
}
