//! 8-bit images as an input of a model.

use std::sync::Arc;

use ndarray::{ArrayD, Axis, Slice};

use super::preprocessing::{ChannelOrder, ImageLayout, PixelRange, Preprocessing, Scaling};
use super::resizing::{ImageInput, takes_images};
use crate::device::InputSpec;
use crate::error::SamplesFault;
use crate::onnx::{Dtype, Tensor};

/// 8-bit images N×H×W×C of an input, scaled when they are asked for.
#[derive(Clone, Debug)]
pub(super) struct Images {
    pixels: Arc<ArrayD<u8>>,
    scaling: Scaling,
    range: PixelRange,
    reversed: bool,
    layout: ImageLayout,
    dtype: Dtype,
}

impl Images {
    /// Images for an input: channels first where the input has them there.
    ///
    /// # Errors
    /// What does not fit.
    pub(super) fn new(pixels: ArrayD<u8>, spec: &InputSpec, how: &Preprocessing) -> Result<Self, SamplesFault> {
        let scaling = &how.scaling;
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
        let bytes = how.range.is_none_or(|range| range == PixelRange::Bytes);
        if raw && (*scaling != Scaling::default() || !bytes) {
            return unscaled(format!(
                "input '{}' takes 8-bit pixels as they are: means, standard deviations and other ranges do not apply",
                spec.name
            ));
        }
        if !takes_images(spec.dtype) {
            return unfit(format!(
                "`images` serve inputs of floats or uint8; name an array after input '{}'",
                spec.name
            ));
        }
        Ok(Self {
            layout: ImageInput::layout_for(spec, channels, how.layout),
            reversed: how.channels == ChannelOrder::Bgr && channels == 3,
            range: how.range.unwrap_or(PixelRange::Unit),
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
        match self.layout {
            ImageLayout::ChannelsFirst => [0, 3, 1, 2],
            ImageLayout::ChannelsLast => [0, 1, 2, 3],
        }
    }

    /// Extents as the input has them.
    pub(super) fn shape(&self) -> Vec<usize> {
        let s = self.pixels.shape();
        self.order().iter().map(|&a| s[a]).collect()
    }

    /// Height, width, channels and pixels (H×W×C) of one of them, before it is scaled.
    pub(super) fn pixels(&self, at: usize) -> Option<([usize; 3], Vec<u8>)> {
        let &[count, height, width, channels] = self.pixels.shape() else {
            return None;
        };
        let image = (at < count).then(|| self.pixels.index_axis(Axis(0), at))?;
        Some(([height, width, channels], image.iter().copied().collect()))
    }

    /// Numbers of one image.
    pub(super) fn elements(&self) -> usize {
        self.pixels.shape().iter().skip(1).product()
    }

    /// Images `from..to` as the input takes them.
    pub(super) fn part(&self, from: usize, to: usize) -> Tensor {
        let mut pixels = self.pixels.slice_axis(Axis(0), Slice::from(from..to));
        if self.reversed {
            pixels.invert_axis(Axis(3));
        }
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
            let scaled = |x: f32| (self.range.of(x) - mean) / std;
            floats.index_axis_mut(Axis(3), c).mapv_inplace(scaled);
        }
        let floats = floats.permuted_axes(self.order().to_vec());
        let shape = floats.shape().to_vec();
        Tensor::from_f32(shape, &floats.iter().copied().collect::<Vec<_>>()).cast(self.dtype)
    }
}
