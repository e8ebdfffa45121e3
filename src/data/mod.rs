//! Real inputs: arrays of an `.npz` file or a folder of images as the inputs of a model, with labels where there are
//! some.

mod folder;
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
    inputs: Vec<(String, Source)>,
    /// The right classes.
    labels: Option<Vec<i64>>,
    /// Samples, and samples in a run.
    count: usize,
    batch: usize,
}

/// One input's samples.
#[derive(Clone, Debug)]
enum Source {
    /// As they are, samples along the first axis.
    Values(ArrayD<f32>, Dtype),
    /// 8-bit images, scaled when they are asked for.
    Images(Images),
}

/// 8-bit images N×H×W×C of an input.
#[derive(Clone, Debug)]
struct Images {
    pixels: ArrayD<u8>,
    scaling: Scaling,
    channels_first: bool,
    dtype: Dtype,
}

/// Samples in a run where the model leaves its batch open.
const BATCH: usize = 50;

impl Dataset {
    /// Reads samples from an `.npz` file: float32 arrays named after the model's inputs, samples first; or `images`, uint8
    /// N×H×W×C, for a model with one image input, scaled and brought to the input's layout; and `labels`, integers, if
    /// there are any. Or from a folder of PNG and JPEG images; the folders in it are the classes, numbered by name.
    ///
    /// # Errors
    /// When the file cannot be read, an input has no array, or shapes do not fit the model's.
    pub fn read(path: &Path, specs: &[InputSpec], scaling: &Scaling) -> Result<Self> {
        let wrong = |what: String| Error::Usage(format!("{}: {what}", path.display()));
        let (inputs, labels) = if path.is_dir() {
            of_folder(path, specs, scaling)?
        } else {
            of_npz(path, specs, scaling)?
        };
        for ((_, source), spec) in inputs.iter().zip(specs) {
            source.fits(spec).map_err(wrong)?;
        }
        let count = inputs.first().map_or(0, |(_, s)| s.count());
        let uneven = inputs.iter().any(|(_, s)| s.count() != count);
        if count == 0 || uneven || labels.as_ref().is_some_and(|l| l.len() != count) {
            return Err(wrong("its arrays hold no samples, or not equally many".to_owned()));
        }
        let open = specs.iter().all(|s| s.open.contains(&0));
        let batch = if open {
            // At least a few runs, so that some can be held out.
            BATCH.min(count.div_ceil(5))
        } else {
            specs.first().map_or(1, |s| s.dims[0])
        };
        if batch > count {
            return Err(wrong(format!(
                "the model runs {batch} samples at a time; the file holds {count}"
            )));
        }
        Ok(Self {
            inputs,
            labels,
            count,
            batch,
        })
    }

    /// Random samples between -1 and 1, for models of floats; as many as make whole runs.
    ///
    /// # Errors
    /// When an input is not of floats.
    pub fn random(specs: &[InputSpec], samples: usize, seed: u64) -> Result<Self> {
        let mut random = fastrand::Rng::with_seed(seed);
        let open = specs.iter().all(|s| s.open.contains(&0));
        let batch = match specs.first() {
            Some(spec) if !open => spec.dims.first().copied().unwrap_or(1).max(1),
            _ => samples.clamp(1, BATCH),
        };
        let count = samples.max(batch) / batch * batch;
        let mut inputs = Vec::new();
        for spec in specs {
            let mut dims = spec.dims.clone();
            if let Some(first) = dims.first_mut() {
                *first = count;
            }
            let values = ArrayD::from_shape_simple_fn(dims, || random.f32() * 2.0 - 1.0);
            let source = Source::Values(values, spec.dtype);
            source.fits(spec).map_err(Error::Usage)?;
            inputs.push((spec.name.clone(), source));
        }
        Ok(Self {
            inputs,
            labels: None,
            count,
            batch,
        })
    }

    /// The same samples, so many in a run.
    pub fn in_runs_of(&self, batch: usize) -> Self {
        Self {
            batch: batch.clamp(1, self.count.max(1)),
            ..self.clone()
        }
    }

    /// Samples.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Samples in a run.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The same samples, at most so many of them, spread evenly.
    pub fn at_most(mut self, most: usize) -> Self {
        if most == 0 || most >= self.count {
            return self;
        }
        let most = most.max(self.batch);
        let picked: Vec<usize> = (0..most).map(|k| k * self.count / most).collect();
        for (_, source) in &mut self.inputs {
            source.pick(&picked);
        }
        self.labels = self.labels.map(|l| picked.iter().map(|&i| l[i]).collect());
        self.count = most;
        self
    }

    /// Runs that the samples make; a model with a fixed batch leaves the last few out.
    pub fn runs(&self) -> usize {
        self.count / self.batch.max(1)
    }

    /// The inputs of run `k`, and its labels.
    pub fn run(&self, k: usize) -> (Vec<Named>, Option<&[i64]>) {
        let (from, to) = (k * self.batch, (k + 1) * self.batch);
        let inputs = self.inputs.iter().map(|(n, s)| (n.clone(), s.part(from, to))).collect();
        (inputs, self.labels.as_ref().and_then(|l| l.get(from..to)))
    }
}

/// Samples of every input, and labels.
type Read = (Vec<(String, Source)>, Option<Vec<i64>>);

fn of_folder(path: &Path, specs: &[InputSpec], scaling: &Scaling) -> Result<Read> {
    let wrong = |what: String| Error::Usage(format!("{}: {what}", path.display()));
    let [spec] = specs else {
        return Err(wrong("a folder of images serves models with one input only".to_owned()));
    };
    let (pixels, classes) = folder::read(path, spec)?;
    let source = Source::Images(images(pixels, spec, scaling).map_err(wrong)?);
    Ok((vec![(spec.name.clone(), source)], classes))
}

fn of_npz(path: &Path, specs: &[InputSpec], scaling: &Scaling) -> Result<Read> {
    let wrong = |what: String| Error::Usage(format!("{}: {what}", path.display()));
    let mut file = npz::open(path)?;
    let mut inputs = Vec::new();
    for spec in specs {
        let source = match file.floats(&spec.name)? {
            Some(array) => Source::Values(array, spec.dtype),
            None => {
                let pixels = file.images()?.filter(|_| specs.len() == 1).ok_or_else(|| {
                    let names = file.names().join(", ");
                    wrong(format!(
                        "it holds {names}; name float32 arrays after the inputs ('{}'), or one `images`",
                        spec.name
                    ))
                })?;
                Source::Images(images(pixels, spec, scaling).map_err(wrong)?)
            }
        };
        inputs.push((spec.name.clone(), source));
    }
    Ok((inputs, file.labels()?))
}

impl Source {
    fn count(&self) -> usize {
        match self {
            Self::Values(a, _) => a.shape().first().copied().unwrap_or(0),
            Self::Images(i) => i.pixels.shape().first().copied().unwrap_or(0),
        }
    }

    fn pick(&mut self, picked: &[usize]) {
        match self {
            Self::Values(a, _) => *a = a.select(Axis(0), picked),
            Self::Images(i) => i.pixels = i.pixels.select(Axis(0), picked),
        }
    }

    /// Samples `from..to` as the input takes them.
    fn part(&self, from: usize, to: usize) -> Tensor {
        let (array, dtype) = match self {
            Self::Values(a, dtype) => (a.slice_axis(Axis(0), Slice::from(from..to)).to_owned(), *dtype),
            Self::Images(i) => (i.scaled(from, to), i.dtype),
        };
        let shape = array.shape().to_vec();
        Tensor::from_f32(shape, &array.into_iter().collect::<Vec<_>>()).cast(dtype)
    }

    /// Whether samples have an input's type and extents, but for the first axis.
    fn fits(&self, spec: &InputSpec) -> Result<(), String> {
        if !matches!(spec.dtype, Dtype::Float | Dtype::Float16) {
            return Err(format!(
                "input '{}' is neither float32 nor float16; real inputs are of floats only",
                spec.name
            ));
        }
        let shape = match self {
            Self::Values(a, _) => a.shape().to_vec(),
            Self::Images(i) => i.shape(),
        };
        let alike = shape.len() == spec.dims.len() && !shape.is_empty();
        if !alike || shape[1..] != spec.dims[1..] {
            return Err(format!(
                "samples of shape {shape:?} do not fit input '{}' {:?}",
                spec.name, spec.dims
            ));
        }
        Ok(())
    }
}

impl Images {
    /// Extents as the input has them.
    fn shape(&self) -> Vec<usize> {
        let s = self.pixels.shape();
        let order = if self.channels_first {
            [0, 3, 1, 2]
        } else {
            [0, 1, 2, 3]
        };
        order.iter().map(|&a| s[a]).collect()
    }

    fn scaled(&self, from: usize, to: usize) -> ArrayD<f32> {
        let mut floats = self.pixels.slice_axis(Axis(0), Slice::from(from..to)).mapv(f32::from);
        let of = |list: &[f32], c: usize| list.get(c).or(list.first()).copied();
        for c in 0..floats.shape()[3] {
            let mean = of(&self.scaling.mean, c).unwrap_or(0.0);
            let std = of(&self.scaling.std, c).unwrap_or(1.0);
            floats
                .index_axis_mut(Axis(3), c)
                .mapv_inplace(|x| (x / 255.0 - mean) / std);
        }
        if self.channels_first {
            floats = floats.permuted_axes(vec![0, 3, 1, 2]).as_standard_layout().into_owned();
        }
        floats
    }
}

/// 8-bit N×H×W×C images for an input: channels first where the input has them there.
fn images(pixels: ArrayD<u8>, spec: &InputSpec, scaling: &Scaling) -> Result<Images, String> {
    if pixels.ndim() != 4 || spec.dims.len() != 4 {
        return Err(format!(
            "`images` must be N×H×W×C for an input of four axes, not {:?}",
            pixels.shape()
        ));
    }
    let channels = pixels.shape()[3];
    for (name, list) in [("--mean", &scaling.mean), ("--std", &scaling.std)] {
        if list.len() != 1 && list.len() != channels {
            return Err(format!("{name} has {} numbers for {channels} channels", list.len()));
        }
    }
    Ok(Images {
        channels_first: spec.dims[1] == channels && spec.dims[3] != channels,
        pixels,
        scaling: scaling.clone(),
        dtype: spec.dtype,
    })
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
        assert_eq!((last.runs(), last.run(0).0[0].1.dims.clone()), (5, vec![1, 2, 4, 3]));
        Ok(())
    }

    #[test]
    fn fewer_samples_are_spread_over_all() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = written(&folder, 5)?;
        let data = Dataset::read(&path, &[spec(&[1, 3, 2, 4], true)], &Scaling::default())?.at_most(2);
        assert_eq!((data.count(), data.runs()), (2, 2));
        assert_eq!((data.run(0).1, data.run(1).1), (Some(&[0i64][..]), Some(&[2i64][..])));
        // Sample 2 begins with pixel 48.
        let second = data.run(1).0[0].1.to_f32().unwrap_or_default();
        assert!((second[0] - 48.0 / 255.0).abs() < 1e-6);
        Ok(())
    }

    #[test]
    fn folders_are_classes_and_images_are_cut_to_the_input() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let at = |class: &str, name: &str| folder.path().join(class).join(name);
        for class in ["cat", "dog"] {
            std::fs::create_dir(folder.path().join(class))?;
        }
        let image = |r: u8| image::RgbImage::from_fn(8, 4, |x, _| image::Rgb([r, if x < 4 { 0 } else { 200 }, 7]));
        image(10).save(at("cat", "a.png"))?;
        image(20).save(at("dog", "b.png"))?;
        std::fs::write(at("dog", "notes.txt"), b"no image")?;
        let float = |dtype| InputSpec {
            dtype,
            ..spec(&[1, 3, 4, 4], true)
        };
        let data = Dataset::read(folder.path(), &[float(Dtype::Float)], &Scaling::default())?;
        assert_eq!(
            (data.count(), data.run(0).1, data.run(1).1),
            (2, Some(&[0i64][..]), Some(&[1i64][..]))
        );
        let values = data.run(1).0[0].1.to_f32().unwrap_or_default();
        // The middle of the image: two columns dark, two bright; red is 20 throughout.
        let near = |v: f32, wanted: f32| (v - wanted / 255.0).abs() < 2.0 / 255.0;
        assert!(near(values[0], 20.0) && near(values[16], 0.0) && near(values[19], 200.0) && near(values[32], 7.0));
        let half = Dataset::read(folder.path(), &[float(Dtype::Float16)], &Scaling::default())?;
        assert_eq!(half.run(0).0[0].1.dtype, Dtype::Float16);
        std::fs::write(at("cat", "c.jpg"), b"not a JPEG")?;
        let wrong = Dataset::read(folder.path(), &[float(Dtype::Float)], &Scaling::default());
        assert!(wrong.err().map(|e| e.to_string()).unwrap_or_default().contains("c.jpg"));
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
