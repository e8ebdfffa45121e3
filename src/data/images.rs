//! 8-bit images as an input of a model.

use std::sync::Arc;

use ndarray::{ArrayD, Axis, Slice};

use crate::device::InputSpec;
use crate::error::SamplesFault;
use crate::onnx::{Dtype, Tensor};

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

/// 8-bit images N×H×W×C of an input, scaled when they are asked for.
#[derive(Clone, Debug)]
pub(super) struct Images {
    pixels: Arc<ArrayD<u8>>,
    scaling: Scaling,
    channels_first: bool,
    dtype: Dtype,
}

impl Images {
    /// Images for an input: channels first where the input has them there.
    ///
    /// # Errors
    /// What does not fit.
    pub(super) fn new(pixels: ArrayD<u8>, spec: &InputSpec, scaling: &Scaling) -> Result<Self, SamplesFault> {
        let unfit = |what: String| Err(SamplesFault::Contents(what));
        let unscaled = |what: String| Err(SamplesFault::Scaling(what));
        if pixels.ndim() != 4 || spec.dims.len() != 4 {
            return unfit(format!(
                "`images` must be N×H×W×C for an input of four axes, not {:?}",
                pixels.shape()
            ));
        }
        let channels = pixels.shape()[3];
        for (name, list) in [("mean", &scaling.mean), ("std", &scaling.std)] {
            if list.len() != 1 && list.len() != channels {
                return unscaled(format!("{name} has {} numbers for {channels} channels", list.len()));
            }
            let usable = |v: &f32| v.is_finite() && (name == "mean" || *v != 0.0);
            if let Some(bad) = list.iter().find(|v| !usable(v)) {
                return unscaled(format!("{name} holds {bad}, which no pixel can be scaled by"));
            }
        }
        let raw = spec.dtype == Dtype::Uint8;
        if raw && *scaling != Scaling::default() {
            return unscaled(format!(
                "input '{}' takes 8-bit pixels as they are: means and standard deviations do not apply",
                spec.name
            ));
        }
        let floats = matches!(
            spec.dtype,
            Dtype::Float | Dtype::Float16 | Dtype::Bfloat16 | Dtype::Double
        );
        if !raw && !floats {
            return unfit(format!(
                "`images` serve inputs of floats or uint8; name an array after input '{}'",
                spec.name
            ));
        }
        Ok(Self {
            channels_first: spec.dims[1] == channels && spec.dims[3] != channels,
            pixels: Arc::new(pixels),
            scaling: scaling.clone(),
            dtype: spec.dtype,
        })
    }

    /// Images held.
    pub(super) fn count(&self) -> usize {
        self.pixels.shape().first().copied().unwrap_or(0)
    }

    /// Only some of them.
    pub(super) fn pick(&mut self, picked: &[usize]) {
        self.pixels = Arc::new(self.pixels.select(Axis(0), picked));
    }

    /// The axes of the pixels in the order of the input's.
    fn order(&self) -> [usize; 4] {
        match self.channels_first {
            true => [0, 3, 1, 2],
            false => [0, 1, 2, 3],
        }
    }

    /// Extents as the input has them.
    pub(super) fn shape(&self) -> Vec<usize> {
        let s = self.pixels.shape();
        self.order().iter().map(|&a| s[a]).collect()
    }

    /// Images `from..to` as the input takes them.
    pub(super) fn part(&self, from: usize, to: usize) -> Tensor {
        let pixels = self.pixels.slice_axis(Axis(0), Slice::from(from..to));
        if self.dtype == Dtype::Uint8 {
            let pixels = pixels.permuted_axes(self.order().to_vec());
            return Tensor {
                dims: pixels.shape().to_vec(),
                dtype: Dtype::Uint8,
                bytes: pixels.iter().copied().collect(),
            };
        }
        let mut floats = pixels.mapv(f32::from);
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
        let shape = floats.shape().to_vec();
        Tensor::from_f32(shape, &floats.into_iter().collect::<Vec<_>>()).cast(self.dtype)
    }
}
