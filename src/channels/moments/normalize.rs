//! Moments behind normalizations and shares.

use super::channel_moments::{ChannelMoments, Guess};
use super::constants::by_channel;
use super::input::{MomentsInput, wrapped_axis};
use crate::onnx::Attributes;

/// Normalized over every channel by itself: scale and shift are those of axis 1.
pub fn by_channel_axis(s: &MomentsInput) -> Option<ChannelMoments> {
    normalized(s, 1, [1, 2])
}

/// Normalized over the last axes: scale and shift are those of the axis with the channels.
pub fn by_last_axes(s: &MomentsInput) -> Option<ChannelMoments> {
    let last = s.output_dims().len().checked_sub(1)?;
    normalized(s, s.input(0).map_or(last, |x| x.axis), [1, 2])
}

/// To mean 0 and variance 1.
pub fn without_parameters(s: &MomentsInput) -> Option<ChannelMoments> {
    normalized(s, 1, [usize::MAX; 2])
}

/// Mean and deviation are those of the shift and the scale, whatever comes in. `parameters`: the inputs with scale and shift.
fn normalized(s: &MomentsInput, axis: usize, parameters: [usize; 2]) -> Option<ChannelMoments> {
    let out = s.output_dims();
    let by_index = |axis: usize, at: usize, default: f64| -> Option<Vec<f64>> {
        let channels = *out.get(axis)?;
        let Some(name) = s.node.input.get(at).filter(|n| !n.is_empty()) else {
            return Some(vec![default; channels]);
        };
        let (values, dims) = s.constant(name)?;
        if axis == 1 && dims.len() == 1 && values.len() <= channels && channels.is_multiple_of(values.len().max(1)) {
            // One number a channel, or a group of channels.
            let each = channels / values.len().max(1);
            let one = |c: usize| values.get(c / each).copied().map(f64::from);
            return (0..channels).map(one).collect();
        }
        let found = by_channel(&(values, dims), out.len(), axis, channels)?;
        Some(found.iter().map(|g| g.0).collect())
    };
    let (scale, shift) = (by_index(axis, parameters[0], 1.0)?, by_index(axis, parameters[1], 0.0)?);
    let made: Vec<Guess> = scale.iter().zip(&shift).map(|(s, b)| (*b, s * s)).collect();
    Some(ChannelMoments::normal(axis, &made))
}

/// A local response normalization, by the mean square of all channels.
pub fn responded(s: &MomentsInput) -> Option<ChannelMoments> {
    let x = s.input(0)?;
    let (mean, variance) = x.pooled()?;
    let float = |name: &str, default: f32| f64::from(s.node.float(name, default));
    let square = float("bias", 1.0) + float("alpha", 1e-4) * (mean * mean + variance);
    let by = square.powf(-float("beta", 0.75));
    Some(x.map(&|v| v * by))
}

/// Shares that sum to one.
pub fn shares(s: &MomentsInput) -> Option<ChannelMoments> {
    let x = s.input(0)?;
    let dims = s.output_dims();
    let axis = wrapped_axis(s.node.int("axis", -1), dims.len())?;
    let mean = 1.0 / dims[axis].max(1) as f64;
    Some(ChannelMoments::normal(x.axis, &vec![(mean, mean * mean); x.channels()]))
}
