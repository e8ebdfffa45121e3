//! Where samples are.

use std::path::PathBuf;

use crate::Result;
use crate::data::{Dataset, Scaling};
use crate::device::InputSpec;

/// Samples in a file or folder.
#[derive(Clone, Debug)]
pub struct SampleSource {
    /// An `.npz` file, or a folder of images.
    pub path: PathBuf,
    /// How images become inputs.
    pub scaling: Scaling,
    /// How many of them are taken at most; 0: all.
    pub at_most: usize,
}

impl SampleSource {
    /// All samples of a file or folder.
    pub fn new(path: impl Into<PathBuf>, scaling: Scaling) -> Self {
        Self {
            path: path.into(),
            scaling,
            at_most: 0,
        }
    }

    /// The same, with so many samples at most (0: all).
    #[must_use]
    pub fn at_most(self, at_most: usize) -> Self {
        Self { at_most, ..self }
    }

    /// Reads all of them, for a model with these inputs.
    ///
    /// # Errors
    /// Those of [`Dataset::read`].
    pub(crate) fn read(&self, inputs: &[InputSpec]) -> Result<Dataset> {
        Dataset::read(&self.path, inputs, &self.scaling)
    }
}
