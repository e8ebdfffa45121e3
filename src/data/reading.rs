//! What a file or a folder holds for each input of a model.

use std::path::Path;

use super::images::{Images, Scaling};
use super::source::{StoredSamples, axis_behind};
use super::{folder, npz};
use crate::Result;
use crate::device::InputSpec;
use crate::error::SamplesFault;

/// What a file holds.
pub(super) struct Read {
    pub(super) sources: Vec<StoredSamples>,
    pub(super) labels: Option<Vec<i64>>,
    pub(super) notes: Vec<String>,
}

/// Images of a folder, for a model with one input.
pub(super) fn of_folder(path: &Path, specs: &[InputSpec], scaling: &Scaling) -> Result<Read> {
    let wrong = |what: String| SamplesFault::Contents(what).at(path);
    let [spec] = specs else {
        return Err(wrong("a folder of images serves models with one input only".to_owned()));
    };
    let (pixels, labels) = folder::read(path, spec)?;
    let source = StoredSamples::Images(Images::new(pixels, spec, scaling).map_err(|fault| fault.at(path))?);
    Ok(Read {
        sources: vec![source],
        labels,
        notes: Vec::new(),
    })
}

/// Arrays of an `.npz` file, one for each input, or `images` for a model with one input.
pub(super) fn of_npz(path: &Path, specs: &[InputSpec], scaling: &Scaling) -> Result<Read> {
    let wrong = |what: String| SamplesFault::Contents(what).at(path);
    let mut file = npz::open(path)?;
    let (mut sources, mut notes) = (Vec::new(), Vec::new());
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
                StoredSamples::Images(Images::new(pixels, spec, scaling).map_err(|fault| fault.at(path))?)
            }
        };
        sources.push(source);
    }
    Ok(Read {
        sources,
        labels: file.labels()?,
        notes,
    })
}
