//! Images of a folder, cut to a model's input.

use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use ndarray::{ArrayD, IxDyn};

use crate::device::InputSpec;
use crate::error::SamplesFault;
use crate::{Error, Result};

/// Reads all PNG and JPEG files, by name, as uint8 N×H×W×C of an input's extents: the shorter side is scaled to fit,
/// the middle is taken. Folders in the folder are classes, numbered by name; without any there are no labels.
pub(super) fn read(path: &Path, spec: &InputSpec) -> Result<(ArrayD<u8>, Option<Vec<i64>>)> {
    let wrong = |what: String| SamplesFault::Contents(what).at(path);
    let [_, a, b, c] = spec.dims[..] else {
        return Err(wrong(format!(
            "input '{}' is no image: it has not four axes",
            spec.name
        )));
    };
    let last = matches!(c, 1 | 3) && !matches!(a, 1 | 3);
    let (channels, height, width) = if last { (c, a, b) } else { (a, b, c) };
    if !matches!(channels, 1 | 3) {
        return Err(wrong(format!(
            "input '{}' has {channels} channels; images have 1 or 3",
            spec.name
        )));
    }
    let mut found: Vec<(PathBuf, Option<i64>)> = Vec::new();
    let (files, folders) = entries(path)?;
    found.extend(files.into_iter().map(|f| (f, None)));
    if found.is_empty() {
        for (class, folder) in folders.iter().enumerate() {
            found.extend(entries(folder)?.0.into_iter().map(|f| (f, Some(class as i64))));
        }
    }
    if found.is_empty() {
        return Err(wrong("it holds no PNG or JPEG files, nor folders of them".to_owned()));
    }
    let mut pixels: Vec<u8> = Vec::with_capacity(found.len() * height * width * channels);
    for (file, _) in &found {
        let image = image::open(file).map_err(|e| SamplesFault::Contents(e.to_string()).at(file))?;
        let image = image.resize_to_fill(width as u32, height as u32, FilterType::Triangle);
        if channels == 1 {
            pixels.extend(image.to_luma8().as_raw());
        } else {
            pixels.extend(image.to_rgb8().as_raw());
        }
    }
    let labels: Option<Vec<i64>> = found.iter().map(|f| f.1).collect();
    let shape = IxDyn(&[found.len(), height, width, channels]);
    let array = ArrayD::from_shape_vec(shape, pixels).map_err(|e| wrong(e.to_string()))?;
    Ok((array, labels))
}

/// Image files and folders in a folder, each by name.
fn entries(path: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(path).map_err(|e| Error::file(path, e))? {
        let at = entry.map_err(|e| Error::file(path, e))?.path();
        let ending = at.extension().map(|e| e.to_string_lossy().to_lowercase());
        if at.is_dir() {
            folders.push(at);
        } else if matches!(ending.as_deref(), Some("png" | "jpg" | "jpeg")) {
            files.push(at);
        }
    }
    files.sort();
    folders.sort();
    Ok((files, folders))
}
