//! What is right for samples: classes, boxes, masks or texts.

mod coco;
mod masks;
mod texts;

use std::path::Path;

use serde::Serialize;

use super::geometry::ImagePlace;
use super::npz;
use crate::error::SamplesFault;
use crate::{Error, Result};

pub(super) use masks::of_values as masks_of_values;

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

/// The class of each pixel of a model's input, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Its width.
    pub width: usize,
    /// Its height.
    pub height: usize,
    /// Classes, or [`Mask::IGNORED`].
    pub classes: Vec<u16>,
}

impl Mask {
    /// A pixel that counts neither as right nor as wrong: the image does not reach there, or the file says so (255 of 8 bits, 65535
    /// of 16 bits).
    pub const IGNORED: u16 = u16::MAX;
}

/// What is read from a file or folder of labels, and what the user should know of it.
#[derive(Debug)]
pub(super) struct ReadLabels {
    pub(super) labels: Labels,
    pub(super) notes: Vec<String>,
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
    pub(super) fn picked(&self, samples: &[usize]) -> Self {
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

/// Reads the labels of `count` samples: a folder of masks; boxes of a COCO file (`.json`); `labels` of an `.npz` file; or a text file,
/// whatever its name ends in.
///
/// # Errors
/// When they cannot be read, or are not those of the samples.
pub(super) fn read(path: &Path, places: &[ImagePlace], count: usize) -> Result<ReadLabels> {
    let wrong = |what: String| SamplesFault::Labels(what).at(path);
    let named = || -> Result<Vec<NamedPlace>> {
        let by_name = |place: &ImagePlace| {
            Some(NamedPlace {
                name: place.name.clone()?,
                geometry: place.geometry,
            })
        };
        let named: Option<Vec<_>> = places.iter().map(by_name).collect();
        named.filter(|n| n.len() == count).ok_or_else(|| {
            wrong("these labels are found by the names of image files; give the images as a folder".to_owned())
        })
    };
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    let read = if path.is_dir() {
        masks::read(path, &named()?)?
    } else if ending.as_deref() == Some("json") {
        coco::read(path, &named()?)?
    } else if ending.as_deref() == Some("npz") {
        let labels = npz::open(path)?.labels()?;
        ReadLabels {
            labels: labels.ok_or_else(|| wrong("it holds no array `labels`".to_owned()))?,
            notes: Vec::new(),
        }
    } else {
        let text = std::fs::read(path).map_err(|e| Error::file(path, e))?;
        let names = named().ok();
        let labels = texts::parsed(&text, names.as_deref(), count).map_err(wrong)?;
        ReadLabels {
            labels: Labels::Texts(labels),
            notes: Vec::new(),
        }
    };
    if read.labels.count() != count {
        return Err(wrong(format!(
            "it holds {} labels for {count} samples",
            read.labels.count()
        )));
    }
    Ok(read)
}

/// An image with the name of its file.
#[derive(Clone, Debug)]
struct NamedPlace {
    name: String,
    geometry: super::geometry::Geometry,
}

impl NamedPlace {
    /// The last part of its path.
    fn file_name(&self) -> &str {
        file_name(&self.name)
    }

    /// That without its ending.
    fn stem(&self) -> &str {
        stem(self.file_name())
    }
}

/// The last part of a path, whose parts are divided as on any system.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The first few of some names, and how many more there are.
fn some_of(names: &[&str]) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
