//! Moments behind linear operators.

use super::channel_moments::{ChannelMoments, Guess, on_axis};
use super::input::MomentsInput;
use crate::ops::LinearOp;

/// All channels of a value rise and fall together by this share of their means: inputs differ in contrast, and guessed
/// means are wrong in the same direction.
const TOGETHER: f64 = 0.3;

/// A layer's output: a weighted sum of channels at independent places, which vary each by itself and a little together.
pub fn mixed(s: &MomentsInput) -> Option<ChannelMoments> {
    let linear_op = LinearOp::of(s.graph, s.index)?;
    let rank = s.dims(&linear_op.input).len();
    let input = s.known.get(&linear_op.input)?;
    let input = on_axis(
        &(input.axis, input.moments()?),
        linear_op.channel_axis(rank),
        linear_op.input_channels(),
    )?;
    let (weights, bias) = (linear_op.weights(s.graph)?, linear_op.bias(s.graph));
    let one = |o: usize| {
        let from = o / linear_op.group_outputs() * linear_op.inputs;
        let row = &weights[o * linear_op.columns()..(o + 1) * linear_op.columns()];
        let (mut mean, mut variance) = (f64::from(bias[o]), 0.0);
        for (taps, guess) in row.chunks_exact(linear_op.taps).zip(&input[from..]) {
            mean += taps.iter().map(|&w| f64::from(w)).sum::<f64>() * guess.0;
            variance += taps.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() * guess.1;
        }
        let together = TOGETHER * (mean - f64::from(bias[o]));
        (mean, variance + together * together)
    };
    let made: Vec<Guess> = (0..linear_op.outputs).map(one).collect();
    Some(ChannelMoments::normal(
        linear_op.channel_axis(s.dims(&linear_op.output).len()),
        &made,
    ))
}
