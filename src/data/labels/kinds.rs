//! The kinds of labels.

use serde::Serialize;

/// What is right for all samples, in their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// The class of each sample.
    Classes(Vec<i64>),
    /// The objects in each image.
    Boxes(BoxLabels),
    /// The class of each pixel of the input.
    Masks(Vec<Mask>),
    /// The text in each sample.
    Texts(Vec<String>),
}

/// Objects of images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoxLabels {
    /// Those of each image.
    pub images: Vec<Vec<LabelBox>>,
    /// What the classes are called.
    pub categories: Vec<String>,
}

/// An object in an image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LabelBox {
    /// Its class: the place of its category among those of the file, sorted by their ids.
    pub class: usize,
    /// Its left edge, in pixels of the model's input.
    pub x: f32,
    /// Its top edge.
    pub y: f32,
    /// Its width.
    pub width: f32,
    /// Its height.
    pub height: f32,
    /// Whether it is a crowd: what is found in it counts neither as right nor as wrong.
    pub crowd: bool,
}

/// The class of each place of a map, row by row: of the pixels of a model's input, or of what a model gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The classes; [`Mask::IGNORED`] counts nowhere.
    pub classes: Vec<u16>,
}

impl Mask {
    /// A pixel that counts neither as right nor as wrong: the image does not reach there, or the file says so (255 of 8 bits, 65535
    /// of 16 bits).
    pub const IGNORED: u16 = u16::MAX;
}

/// What is read from a file or folder of labels, and what the user should know of it.
#[derive(Debug)]
pub(in crate::data) struct ReadLabels {
    pub(in crate::data) labels: Labels,
    pub(in crate::data) notes: Vec<String>,
}

impl Labels {
    /// Samples that they are for.
    pub fn count(&self) -> usize {
        match self {
            Self::Classes(all) => all.len(),
            Self::Boxes(all) => all.images.len(),
            Self::Masks(all) => all.len(),
            Self::Texts(all) => all.len(),
        }
    }

    /// What they are, in the plural.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Classes(_) => "classes",
            Self::Boxes(_) => "boxes",
            Self::Masks(_) => "masks",
            Self::Texts(_) => "texts",
        }
    }

    /// Those of some samples. Numbers of samples that there are none of are left out.
    pub(in crate::data) fn picked(&self, samples: &[usize]) -> Self {
        fn of<T: Clone>(all: &[T], samples: &[usize]) -> Vec<T> {
            samples.iter().filter_map(|&i| all.get(i).cloned()).collect()
        }
        match self {
            Self::Classes(all) => Self::Classes(of(all, samples)),
            Self::Boxes(all) => Self::Boxes(BoxLabels {
                images: of(&all.images, samples),
                categories: all.categories.clone(),
            }),
            Self::Masks(all) => Self::Masks(of(all, samples)),
            Self::Texts(all) => Self::Texts(of(all, samples)),
        }
    }
}
