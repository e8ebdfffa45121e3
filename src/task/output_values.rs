//! An output of one run, as numbers.

use crate::device::DeviceTensor;
use crate::onnx::Tensor;

/// The values of an output of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputValues {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub dims: Vec<usize>,
    /// Its values, the last axis fastest.
    pub values: Vec<f32>,
    /// Whether its element type is one of floats; else values are whole numbers.
    pub float: bool,
}

impl OutputValues {
    /// Of a tensor; `None` where it holds neither floats nor whole numbers.
    pub fn of(name: &str, tensor: &Tensor) -> Option<Self> {
        let (values, float) = match tensor.to_f32() {
            Some(values) => (values, true),
            None => (tensor.to_i64()?.into_iter().map(|v| v as f32).collect(), false),
        };
        Some(Self {
            name: name.to_owned(),
            dims: tensor.dims.clone(),
            values,
            float,
        })
    }

    /// Of a value that a device holds.
    pub fn of_device(name: &str, held: &DeviceTensor) -> Option<Self> {
        if let Some(values) = held.floats() {
            return Some(Self {
                name: name.to_owned(),
                dims: held.dims(),
                values: values.into_owned(),
                float: true,
            });
        }
        Self::of(name, &held.tensor()?)
    }

    /// All outputs of a run that hold numbers.
    pub fn all(outputs: &[(String, Tensor)]) -> Vec<Self> {
        outputs.iter().filter_map(|(name, t)| Self::of(name, t)).collect()
    }

    /// The values of sample `k` of `samples` along the first axis; all of them where that axis does not carry the samples.
    pub fn sample(&self, k: usize, samples: usize) -> &[f32] {
        if samples < 2 || self.dims.first() != Some(&samples) {
            return &self.values;
        }
        let each = self.values.len() / samples;
        self.values.get(k * each..(k + 1) * each).unwrap_or_default()
    }

    /// Its shape without the axis of samples, where the first axis is that.
    pub fn sample_dims(&self, samples: usize) -> &[usize] {
        match self.dims.split_first() {
            Some((first, rest)) if *first == samples && !rest.is_empty() => rest,
            _ => &self.dims,
        }
    }
}
