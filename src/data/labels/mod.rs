//! What is right for samples: classes, boxes, masks or texts.

mod coco;
mod kinds;
mod masks;
mod named;
mod texts;

use std::path::Path;

use super::geometry::ImagePlace;
use super::npz::{self, LabelArray, Npz};
use crate::error::SamplesFault;
use crate::{Error, Result};
use kinds::ReadLabels;
use named::NamedPlace;

pub use kinds::{BoxLabels, LabelBox, Labels, Mask};

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
        let labels = of_npz(&mut npz::open(path)?)?.map_err(wrong)?;
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

/// The array `labels` of a file, if it holds one: texts, or numbers.
///
/// # Errors
/// When it cannot be read; within, when it has another shape.
pub(super) fn of_npz(file: &mut Npz) -> Result<Result<Option<Labels>, String>> {
    if let Some(texts) = file.label_texts()? {
        return Ok(Ok(Some(Labels::Texts(texts))));
    }
    Ok(file.labels()?.map(|array| of_array(&array)).transpose())
}

/// The labels in an array: a class for each sample, or one for each pixel (N×H×W).
///
/// # Errors
/// When it has another shape, or a class is too large.
fn of_array(array: &LabelArray) -> Result<Labels, String> {
    let LabelArray { dims, values } = array;
    if let [count, height, width] = dims[..]
        && height * width > 1
    {
        return masks::of_values([count, height, width], values);
    }
    match dims.iter().skip(1).any(|&d| d != 1) {
        true => Err(format!(
            "array 'labels' has extents {dims:?}; a class for each sample, or for each pixel (N×H×W), is expected"
        )),
        false => Ok(Labels::Classes(values.clone())),
    }
}

#[cfg(test)]
mod tests;
