//! One run of a model on samples.

use std::ops::Range;

use super::Dataset;
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
    data: &'d Dataset,
    from: usize,
}

impl<'d> SampleRun<'d> {
    /// Samples `range` of a dataset.
    pub(super) fn of(data: &'d Dataset, range: Range<usize>, repeated: usize) -> Self {
        let Range { start: from, end: to } = range;
        let inputs = data.inputs.iter();
        Self {
            inputs: inputs
                .map(|(n, s, rank)| (n.clone(), s.part(from, to, *rank)))
                .collect(),
            labels: match &data.labels {
                Some(Labels::Classes(all)) => all.get(from..to),
                _ => None,
            },
            samples: to - from,
            repeated,
            data,
            from,
        }
    }

    /// The objects in sample `i` of this run, in pixels of the input, if they are known.
    pub fn boxes(&self, i: usize) -> Option<&'d [LabelBox]> {
        match &self.data.labels {
            Some(Labels::Boxes(all)) => all.images.get(self.from + i).map(Vec::as_slice),
            _ => None,
        }
    }

    /// The classes of the pixels of sample `i`, if they are known.
    pub fn mask(&self, i: usize) -> Option<&'d Mask> {
        match &self.data.labels {
            Some(Labels::Masks(all)) => all.get(self.from + i),
            _ => None,
        }
    }

    /// The text in sample `i`, if it is known.
    pub fn text(&self, i: usize) -> Option<&'d str> {
        match &self.data.labels {
            Some(Labels::Texts(all)) => all.get(self.from + i).map(String::as_str),
            _ => None,
        }
    }

    /// Where the image of sample `i` lies in the input; `None` where samples are no images.
    pub fn geometry(&self, i: usize) -> Option<&'d Geometry> {
        self.data.places.get(self.from + i).map(|place| &place.geometry)
    }

    /// The file of the image of sample `i`, as a path within the folder; `None` where samples are no files.
    pub fn name(&self, i: usize) -> Option<&'d str> {
        let place: Option<&'d ImagePlace> = self.data.places.get(self.from + i);
        place.and_then(|place| place.name.as_deref())
    }
}
