//! Where samples are.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::data::{Dataset, Preprocessing};
use crate::device::InputSpec;

/// Samples in a file or folder.
#[derive(Clone, Debug)]
pub struct SampleSource {
    /// An `.npz` file, or a folder of images.
    pub path: PathBuf,
    /// How images become inputs.
    pub preprocessing: Preprocessing,
    /// A file or folder with their labels; `None`: those that come with them.
    pub labels: Option<PathBuf>,
    /// How many of them are taken at most; 0: all.
    pub at_most: usize,
}

impl SampleSource {
    /// All samples of a file or folder.
    pub fn new(path: impl Into<PathBuf>, how: impl Into<Preprocessing>) -> Self {
        Self {
            path: path.into(),
            preprocessing: how.into(),
            labels: None,
            at_most: 0,
        }
    }

    /// The same, with so many samples at most (0: all).
    #[must_use]
    pub fn at_most(self, at_most: usize) -> Self {
        Self { at_most, ..self }
    }

    /// The same, with labels from a file or folder of their own, where one is named.
    #[must_use]
    pub fn labelled(self, labels: Option<PathBuf>) -> Self {
        Self { labels, ..self }
    }

    /// What is to be named where labels do not serve.
    pub(crate) fn labels_path(&self) -> &Path {
        self.labels.as_deref().unwrap_or(&self.path)
    }

    /// Reads all of them, for a model with these inputs.
    ///
    /// # Errors
    /// Those of [`Dataset::read`] and [`Dataset::labelled`].
    pub(crate) fn read(&self, inputs: &[InputSpec]) -> Result<Dataset> {
        let data = Dataset::read_at_most(&self.path, inputs, &self.preprocessing, self.at_most)?;
        self.with_labels(data)
    }

    /// The same; values may be NaN or infinite.
    ///
    /// # Errors
    /// Those of [`Dataset::read_any`] and [`Dataset::labelled`].
    pub(crate) fn read_any(&self, inputs: &[InputSpec]) -> Result<Dataset> {
        self.with_labels(Dataset::read_any(&self.path, inputs, &self.preprocessing)?)
    }

    fn with_labels(&self, data: Dataset) -> Result<Dataset> {
        match &self.labels {
            Some(labels) => data.labelled(labels),
            None => Ok(data),
        }
    }
}
