//! Samples with labels from a file or folder of their own.

use std::path::Path;

use super::Dataset;
use super::geometry::ImagePlace;
use super::labels::{self, Labels};
use crate::Result;

impl Dataset {
    /// The same samples with other labels: boxes of a COCO file, found by the names of the images; a folder of PNG masks with the stems
    /// of the images; a text file, a line for each sample or each with a name and a tab before it; or `labels` of an `.npz` file.
    ///
    /// # Errors
    /// When they cannot be read, or are not those of the samples.
    pub fn labelled(mut self, path: &Path) -> Result<Self> {
        let read = labels::read(path, &self.places, self.count)?;
        let named = |note: String| format!("{}: {note}", path.display());
        self.notes.extend(read.notes.into_iter().map(named));
        self.labels = Some(read.labels);
        Ok(self)
    }

    /// What is right for the samples, if it is known.
    pub fn labels(&self) -> Option<&Labels> {
        self.labels.as_ref()
    }

    /// Which files the samples are, and where images lie in the input; empty where samples are no images.
    pub fn places(&self) -> &[ImagePlace] {
        &self.places
    }
}
