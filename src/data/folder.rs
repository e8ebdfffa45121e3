//! Images of a folder, brought to a model's input.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn};
use rayon::prelude::*;

use super::geometry::{Geometry, ImagePlace};
use super::preprocessing::Preprocessing;
use super::resizing::{ImageInput, opened};
use crate::error::SamplesFault;
use crate::{Error, Result};

/// The images of a folder.
pub(super) struct FolderImages {
    /// N×H×W×C.
    pub(super) pixels: ArrayD<u8>,
    /// Which file each of them is, and where it lies in the input.
    pub(super) places: Vec<ImagePlace>,
    /// The classes that their folders are.
    pub(super) classes: Option<Vec<i64>>,
    /// What the user should know of them.
    pub(super) notes: Vec<String>,
}

/// An image file and the class that its folder is.
struct Found {
    file: PathBuf,
    class: Option<i64>,
}

/// What a folder holds, each by name.
struct Entries {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    /// Images in formats that are not read.
    others: usize,
}

/// Reads all PNG and JPEG files, by name, as uint8 N×H×W×C. Folders in the folder are classes, numbered by name; without any there
/// are no labels.
/// At most `most` are read, spread evenly.
pub(super) fn read(path: &Path, input: &ImageInput, how: &Preprocessing, most: usize) -> Result<FolderImages> {
    let wrong = |what: String| SamplesFault::Contents(what).at(path);
    let here = entries(path)?;
    let mut others = here.others;
    let mut found: Vec<Found> = here.files.into_iter().map(|file| Found { file, class: None }).collect();
    if found.is_empty() {
        for (class, folder) in here.folders.iter().enumerate() {
            let within = entries(folder)?;
            others += within.others;
            found.extend(within.files.into_iter().map(|file| Found {
                file,
                class: Some(class as i64),
            }));
        }
    }
    if found.is_empty() {
        return Err(wrong("it holds no PNG or JPEG files, nor folders of them".to_owned()));
    }
    let count = found.len();
    if count > most {
        let picked: BTreeSet<usize> = (0..most).map(|k| k * count / most).collect();
        let mut at = 0..;
        found.retain(|_| at.next().is_some_and(|k| picked.contains(&k)));
    }
    let read: Vec<(Vec<u8>, Geometry)> = found
        .par_iter()
        .map(|Found { file, .. }| {
            let fitted = input.fitted(&opened(file)?, how).map_err(|fault| fault.at(file))?;
            Ok((fitted.pixels, fitted.geometry))
        })
        .collect::<Result<_>>()?;
    let classes: Option<Vec<i64>> = found.iter().map(|f| f.class).collect();
    let place = |(found, (_, geometry)): (&Found, &(Vec<u8>, Geometry))| ImagePlace {
        name: Some(name_within(path, &found.file)),
        geometry: *geometry,
    };
    let places = found.iter().zip(&read).map(place).collect();
    let shape = IxDyn(&[read.len(), input.height, input.width, input.channels]);
    let pixels: Vec<u8> = read.into_iter().flat_map(|(pixels, _)| pixels).collect();
    let pixels = ArrayD::from_shape_vec(shape, pixels).map_err(|e| wrong(e.to_string()))?;
    let left_out = format!(
        "{}: {others} images that are neither PNG nor JPEG are left out",
        path.display()
    );
    Ok(FolderImages {
        pixels,
        places,
        classes,
        notes: (others > 0).then_some(left_out).into_iter().collect(),
    })
}

/// A file's path within a folder, its parts divided by `/`.
fn name_within(folder: &Path, file: &Path) -> String {
    let within = file.strip_prefix(folder).unwrap_or(file);
    let parts: Vec<_> = within.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

fn entries(path: &Path) -> Result<Entries> {
    let mut found = Entries {
        files: Vec::new(),
        folders: Vec::new(),
        others: 0,
    };
    for entry in std::fs::read_dir(path).map_err(|e| Error::file(path, e))? {
        let at = entry.map_err(|e| Error::file(path, e))?.path();
        let ending = at.extension().map(|e| e.to_string_lossy().to_lowercase());
        if at.is_dir() {
            found.folders.push(at);
            continue;
        }
        match ending.as_deref() {
            Some("png" | "jpg" | "jpeg") => found.files.push(at),
            Some("bmp" | "webp" | "gif" | "tif" | "tiff" | "avif" | "heic" | "ppm" | "pgm") => found.others += 1,
            _ => {}
        }
    }
    found.files.sort();
    found.folders.sort();
    Ok(found)
}
