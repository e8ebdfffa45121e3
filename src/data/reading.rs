//! What a file or a folder holds for each input of a model.

use std::path::Path;

use ndarray::{ArrayD, IxDyn};

use super::geometry::{Geometry, ImagePlace};
use super::images::Images;
use super::labels::{self, Labels};
use super::preprocessing::{ChannelOrder, Preprocessing};
use super::resizing::{ImageInput, assumed_size, of_pixels};
use super::source::{StoredSamples, axis_behind};
use super::{folder, npz};
use crate::Result;
use crate::device::InputSpec;
use crate::error::SamplesFault;

/// What a file holds.
pub(super) struct Read {
    pub(super) sources: Vec<StoredSamples>,
    pub(super) labels: Option<Labels>,
    /// Where images lie in their input; empty where samples are no images.
    pub(super) places: Vec<ImagePlace>,
    pub(super) notes: Vec<String>,
}

/// Images of a folder, for a model with one input: at most so many, spread evenly (0: all).
pub(super) fn of_folder(path: &Path, specs: &[InputSpec], how: &Preprocessing, most: usize) -> Result<Read> {
    let wrong = |what: String| SamplesFault::Contents(what).at(path);
    let [spec] = specs else {
        return Err(wrong("a folder of images serves models with one input only".to_owned()));
    };
    let input = ImageInput::of(spec, how.layout).map_err(|fault| fault.at(path))?;
    let how = &Preprocessing {
        layout: Some(input.layout),
        ..how.clone()
    };
    // A run of the model's own batch is filled.
    let batch = spec.dims.first().copied().unwrap_or(1);
    let most = if most == 0 { usize::MAX } else { most.max(batch) };
    let read = folder::read(path, &input, how, most)?;
    let images = Images::new(read.pixels, spec, how).map_err(|fault| fault.at(path))?;
    Ok(Read {
        sources: vec![StoredSamples::Images(images)],
        labels: read.classes.map(Labels::Classes),
        places: read.places,
        notes: read.notes.into_iter().chain(assumed_size(spec, &input)).collect(),
    })
}

/// Arrays of an `.npz` file, one for each input, or `images` for a model with one input.
pub(super) fn of_npz(path: &Path, specs: &[InputSpec], how: &Preprocessing) -> Result<Read> {
    let wrong = |what: String| SamplesFault::Contents(what).at(path);
    let mut file = npz::open(path)?;
    let (mut sources, mut notes, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let batched = specs.iter().any(|s| s.open.contains(&0));
    for spec in specs {
        let source = match file.tensor(&spec.name, spec.dtype)? {
            Some(found) => {
                if let Some(from) = found.from {
                    notes.push(format!(
                        "{}: '{}' is {from} there; its values are taken as {}",
                        path.display(),
                        spec.name,
                        npz::type_name(spec.dtype)
                    ));
                }
                let whole = found.tensor.dims == spec.dims;
                let unbatched = spec.dims.is_empty() || (batched && !spec.open.contains(&0));
                if whole && unbatched {
                    StoredSamples::Shared(found.tensor)
                } else {
                    let axis = axis_behind(&found.tensor.dims, spec).unwrap_or(0);
                    StoredSamples::Values(found.tensor, axis)
                }
            }
            None => {
                let pixels = file.images()?.filter(|_| specs.len() == 1).ok_or_else(|| {
                    let names = file.names().join(", ");
                    wrong(format!(
                        "it holds {names}; name arrays after the inputs ('{}'), or one `images`",
                        spec.name
                    ))
                })?;
                let resized = resized(pixels, spec, how).map_err(|fault| fault.at(path))?;
                places = resized.places;
                StoredSamples::Images(Images::new(resized.pixels, spec, how).map_err(|fault| fault.at(path))?)
            }
        };
        sources.push(source);
    }
    let labels = labels::of_npz(&mut file)?;
    Ok(Read {
        sources,
        labels: labels.map_err(wrong)?,
        places,
        notes,
    })
}

/// Images of an array, and where each lies in the input.
struct ResizedImages {
    pixels: ArrayD<u8>,
    places: Vec<ImagePlace>,
}

/// The images of an array as they are, or where a way is named, brought to an input's height, width and channels by it.
fn resized(pixels: ArrayD<u8>, spec: &InputSpec, how: &Preprocessing) -> Result<ResizedImages, SamplesFault> {
    let unplaced = |geometry: Geometry| ImagePlace { name: None, geometry };
    let [count, height, width, channels] = pixels.shape()[..] else {
        return Ok(ResizedImages {
            pixels,
            places: Vec::new(),
        });
    };
    let gray = how.channels == ChannelOrder::Gray && channels == 3;
    let as_large = || ImageInput::of(spec, how.layout).is_ok_and(|i| (i.height, i.width) == (height, width));
    if count == 0 || (how.resize.is_none() && !(gray && as_large())) {
        let place = unplaced(Geometry::same(width as u32, height as u32));
        return Ok(ResizedImages {
            pixels,
            places: vec![place; count],
        });
    }
    let input = ImageInput::of(spec, how.layout)?;
    let no_images = || {
        SamplesFault::Contents(format!(
            "`images` of shape {:?} are no images of one or three channels (N×H×W×C)",
            [count, height, width, channels]
        ))
    };
    let (mut all, mut places) = (Vec::with_capacity(count * input.height * input.width), Vec::new());
    for image in pixels.outer_iter() {
        let image = of_pixels(width, height, channels, image.iter().copied().collect());
        let image = image
            .filter(|i| i.width() > 0 && i.height() > 0)
            .ok_or_else(no_images)?;
        let fitted = input.fitted(&image, how)?;
        all.extend(fitted.pixels);
        places.push(unplaced(fitted.geometry));
    }
    let shape = IxDyn(&[count, input.height, input.width, input.channels]);
    let pixels = ArrayD::from_shape_vec(shape, all).map_err(|_| no_images())?;
    Ok(ResizedImages { pixels, places })
}
