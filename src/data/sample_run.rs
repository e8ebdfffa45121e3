//! One run of a model on samples.

use super::geometry::{Geometry, ImagePlace};
use super::labels::{LabelBox, Labels, Mask};
use crate::device::NamedTensor;

/// One run of a model on samples.
#[derive(Clone, Debug)]
pub struct SampleRun<'d> {
    /// The inputs.
    pub inputs: Vec<NamedTensor>,
    /// The right classes of its samples, if they are known.
    pub labels: Option<&'d [i64]>,
    /// Samples in it.
    pub samples: usize,
    /// How many of them, at its start, an earlier run has too: a model with a fixed batch takes the last samples so.
    pub repeated: usize,
    /// What is known of all samples of the dataset, and where this run begins in it.
    pub(super) known: Known<'d>,
    pub(super) from: usize,
}

/// What is known of all samples of a dataset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'d> {
    pub(super) labels: Option<&'d Labels>,
    pub(super) places: &'d [ImagePlace],
}

impl<'d> SampleRun<'d> {
    /// The objects in sample `i` of this run, in pixels of the input, if they are known.
    pub fn boxes(&self, i: usize) -> Option<&'d [LabelBox]> {
        match self.known.labels {
            Some(Labels::Boxes(all)) => all.images.get(self.from + i).map(Vec::as_slice),
            _ => None,
        }
    }

    /// The classes of the pixels of sample `i`, if they are known.
    pub fn mask(&self, i: usize) -> Option<&'d Mask> {
        match self.known.labels {
            Some(Labels::Masks(all)) => all.get(self.from + i),
            _ => None,
        }
    }

    /// The text in sample `i`, if it is known.
    pub fn text(&self, i: usize) -> Option<&'d str> {
        match self.known.labels {
            Some(Labels::Texts(all)) => all.get(self.from + i).map(String::as_str),
            _ => None,
        }
    }

    /// Where the image of sample `i` lies in the input; `None` where samples are no images.
    pub fn geometry(&self, i: usize) -> Option<&'d Geometry> {
        self.known.places.get(self.from + i).map(|place| &place.geometry)
    }

    /// The file of the image of sample `i`, as a path within the folder; `None` where samples are no files.
    pub fn name(&self, i: usize) -> Option<&'d str> {
        let place: Option<&'d ImagePlace> = self.known.places.get(self.from + i);
        place.and_then(|place| place.name.as_deref())
    }
}
