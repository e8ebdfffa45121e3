//! Real inputs: arrays of an `.npz` file as the inputs of a model, with labels where there are some.

mod npz;

use std::path::Path;

use ndarray::{ArrayD, Axis, Slice};

use crate::onnx::{Dtype, Tensor};
use crate::target::{InputSpec, Named};
use crate::{Error, Result};

/// How 8-bit images become a model's input: (x / 255 − mean) / std, channel by channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// Means of the channels, for values from 0 to 1; one number serves all channels.
    pub mean: Vec<f32>,
    /// Standard deviations of the channels.
    pub std: Vec<f32>,
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            mean: vec![0.0],
            std: vec![1.0],
        }
    }
}

/// Samples for a model.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// One array an input, samples along the first axis.
    inputs: Vec<(String, ArrayD<f32>)>,
    /// The right classes.
    labels: Option<Vec<i64>>,
    /// Samples in a run.
    batch: usize,
}

/// Samples in a run where the model leaves its batch open.
const BATCH: usize = 50;

impl Dataset {
    /// Reads `.npz`: float32 arrays named after the model's inputs, samples first; or `images`, uint8 N×H×W×C, for a
    /// model with one image input, scaled and brought to the input's layout; and `labels`, integers, if there are any.
    ///
    /// # Errors
    /// When the file cannot be read, an input has no array, or shapes do not fit the model's.
    pub fn read(path: &Path, specs: &[InputSpec], scaling: &Scaling) -> Result<Self> {
        let mut file = npz::open(path)?;
        let wrong = |what: String| Error::Usage(format!("{}: {what}", path.display()));
        let mut inputs = Vec::new();
        for spec in specs {
            let array = match file.floats(&spec.name)? {
                Some(array) => array,
                None => {
                    let images = file.images()?.filter(|_| specs.len() == 1).ok_or_else(|| {
                        let names = file.names().join(", ");
                        wrong(format!(
                            "it holds {names}; name float32 arrays after the inputs ('{}'), or one `images`",
                            spec.name
                        ))
                    })?;
                    scaled(images, spec, scaling).map_err(wrong)?
                }
            };
            fits(&array, spec).map_err(wrong)?;
            inputs.push((spec.name.clone(), array));
        }
        let count = inputs.first().map_or(0, |(_, a)| a.len_of(Axis(0)));
        let labels = file.labels()?;
        let uneven = inputs.iter().any(|(_, a)| a.len_of(Axis(0)) != count);
        if count == 0 || uneven || labels.as_ref().is_some_and(|l| l.len() != count) {
            return Err(wrong("its arrays hold no samples, or not equally many".to_owned()));
        }
        let open = specs.iter().all(|s| s.open.contains(&0));
        let batch = if open {
            BATCH.min(count)
        } else {
            specs.first().map_or(1, |s| s.dims[0])
        };
        if batch > count {
            return Err(wrong(format!(
                "the model runs {batch} samples at a time; the file holds {count}"
            )));
        }
        Ok(Self { inputs, labels, batch })
    }

    /// Runs that the samples make; a model with a fixed batch leaves the last few out.
    pub fn runs(&self) -> usize {
        let count = self.inputs.first().map_or(0, |(_, a)| a.len_of(Axis(0)));
        count / self.batch.max(1)
    }

    /// The inputs of run `k`, and its labels.
    pub fn run(&self, k: usize) -> (Vec<Named>, Option<&[i64]>) {
        let (from, to) = (k * self.batch, (k + 1) * self.batch);
        let part = |array: &ArrayD<f32>| {
            let part = array.slice_axis(Axis(0), Slice::from(from..to));
            Tensor::from_f32(part.shape().to_vec(), &part.iter().copied().collect::<Vec<_>>())
        };
        let inputs = self.inputs.iter().map(|(n, a)| (n.clone(), part(a))).collect();
        (inputs, self.labels.as_ref().and_then(|l| l.get(from..to)))
    }
}

/// 8-bit N×H×W×C images as an input: channels first where the input has them there.
fn scaled(images: ArrayD<u8>, spec: &InputSpec, scaling: &Scaling) -> Result<ArrayD<f32>, String> {
    if images.ndim() != 4 || spec.dims.len() != 4 {
        return Err(format!(
            "`images` must be N×H×W×C for an input of four axes, not {:?}",
            images.shape()
        ));
    }
    let channels = images.shape()[3];
    let of = |list: &[f32], c: usize| list.get(c).or(list.first()).copied();
    for (name, list) in [("--mean", &scaling.mean), ("--std", &scaling.std)] {
        if list.len() != 1 && list.len() != channels {
            return Err(format!("{name} has {} numbers for {channels} channels", list.len()));
        }
    }
    let mut floats = images.mapv(f32::from);
    for c in 0..channels {
        let (mean, std) = (of(&scaling.mean, c).unwrap_or(0.0), of(&scaling.std, c).unwrap_or(1.0));
        floats
            .index_axis_mut(Axis(3), c)
            .mapv_inplace(|x| (x / 255.0 - mean) / std);
    }
    if spec.dims[1] == channels && spec.dims[3] != channels {
        floats = floats.permuted_axes(vec![0, 3, 1, 2]).as_standard_layout().into_owned();
    }
    Ok(floats)
}

/// Whether samples have an input's type and extents, but for the first axis.
fn fits(array: &ArrayD<f32>, spec: &InputSpec) -> Result<(), String> {
    if spec.dtype != Dtype::Float {
        return Err(format!(
            "input '{}' is not float32; real inputs are float32 only",
            spec.name
        ));
    }
    let alike = array.ndim() == spec.dims.len() && array.ndim() > 0;
    if !alike || array.shape()[1..] != spec.dims[1..] {
        return Err(format!(
            "samples of shape {:?} do not fit input '{}' {:?}",
            array.shape(),
            spec.name,
            spec.dims
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ndarray::{Array1, Array4};
    use ndarray_npy::NpzWriter;

    use super::{Dataset, Scaling};
    use crate::onnx::Dtype;
    use crate::target::InputSpec;

    fn spec(dims: &[usize], open: bool) -> InputSpec {
        InputSpec {
            name: "x".to_owned(),
            dims: dims.to_vec(),
            dtype: Dtype::Float,
            open: if open { vec![0] } else { vec![] },
            assumed: vec![],
        }
    }

    fn written(folder: &tempfile::TempDir, labels: usize) -> Result<PathBuf, Box<dyn std::error::Error>> {
        let path = folder.path().join("data.npz");
        let mut npz = NpzWriter::new_compressed(std::fs::File::create(&path)?);
        let image = Array4::from_shape_fn((5, 2, 4, 3), |(n, h, w, c)| (n * 24 + h * 12 + w * 3 + c) as u8);
        npz.add_array("images", &image)?;
        npz.add_array("labels", &Array1::from_iter(0..labels as i64))?;
        npz.finish()?;
        Ok(path)
    }

    #[test]
    fn images_are_scaled_and_brought_to_the_inputs_layout() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = written(&folder, 5)?;
        let scaling = Scaling {
            mean: vec![0.5, 0.0, 0.0],
            std: vec![0.5, 1.0, 2.0],
        };
        let data = Dataset::read(&path, &[spec(&[2, 3, 2, 4], false)], &scaling)?;
        assert_eq!(data.runs(), 2);
        let (inputs, labels) = data.run(1);
        assert_eq!(labels, Some(&[2i64, 3][..]));
        let values = inputs[0].1.to_f32().unwrap_or_default();
        // Sample 2, channel 0, row 0, column 1 was 48 + 3; channel 2 of the same place 48 + 5.
        assert!((values[1] - (51.0 / 255.0 - 0.5) / 0.5).abs() < 1e-6);
        assert!((values[2 * 8 + 1] - 53.0 / 255.0 / 2.0).abs() < 1e-6);
        let last = Dataset::read(&path, &[spec(&[1, 2, 4, 3], true)], &Scaling::default())?;
        assert_eq!((last.runs(), last.run(0).0[0].1.dims.clone()), (1, vec![5, 2, 4, 3]));
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_says_what() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let says = |path: PathBuf, dims: &[usize], scaling: &Scaling| {
            let found = Dataset::read(&path, &[spec(dims, false)], scaling);
            found.err().map(|e| e.to_string()).unwrap_or_default()
        };
        let path = written(&folder, 5)?;
        let plain = Scaling::default();
        assert!(says(path.clone(), &[1, 3, 9, 9], &plain).contains("do not fit"));
        assert!(says(path.clone(), &[7, 3, 2, 4], &plain).contains("7 samples at a time"));
        let two = Scaling {
            mean: vec![0.0; 2],
            std: vec![1.0],
        };
        assert!(says(path.clone(), &[1, 3, 2, 4], &two).contains("--mean has 2"));
        assert!(says(written(&folder, 4)?, &[1, 3, 2, 4], &plain).contains("not equally many"));
        std::fs::write(&path, b"not an archive")?;
        assert!(says(path, &[1, 3, 2, 4], &plain).contains("data.npz"));
        Ok(())
    }
}
