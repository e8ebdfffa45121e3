//! Moments behind pools and reductions: averages vary less, and maxima lie higher, the more positions there are. Neighbouring
//! positions are alike: so many count as the root of their number.

use super::channel_moments::{ChannelMoments, Guess, PLACES, place};
use super::input::{MomentsInput, wrapped_axis};
use crate::onnx::Attributes;

/// What is made of many positions.
#[derive(Clone, Copy, PartialEq)]
enum Over {
    Mean,
    Greatest,
}

/// The mean of each window.
pub fn mean_pool(s: &MomentsInput) -> Option<ChannelMoments> {
    pooled(s, Over::Mean, window(s).or_else(|| whole(s))?)
}

/// The greatest of each window.
pub fn max_pool(s: &MomentsInput) -> Option<ChannelMoments> {
    pooled(s, Over::Greatest, window(s).or_else(|| whole(s))?)
}

/// The mean of all positions.
pub fn global_mean(s: &MomentsInput) -> Option<ChannelMoments> {
    pooled(s, Over::Mean, whole(s)?)
}

/// The greatest of all positions.
pub fn global_max(s: &MomentsInput) -> Option<ChannelMoments> {
    pooled(s, Over::Greatest, whole(s)?)
}

/// The mean over some axes.
pub fn reduce_mean(s: &MomentsInput) -> Option<ChannelMoments> {
    Some(reduced(s, Over::Mean)?.0)
}

/// The greatest over some axes.
pub fn reduce_max(s: &MomentsInput) -> Option<ChannelMoments> {
    Some(reduced(s, Over::Greatest)?.0)
}

/// The sum over some axes.
pub fn reduce_sum(s: &MomentsInput) -> Option<ChannelMoments> {
    let (mean, positions) = reduced(s, Over::Mean)?;
    Some(mean.map(&|v| v * positions))
}

/// Positions of a window.
fn window(s: &MomentsInput) -> Option<f64> {
    let kernel = s.node.ints("kernel_shape")?;
    Some(kernel.iter().map(|&k| k.max(1) as f64).product())
}

/// Positions of the whole input.
fn whole(s: &MomentsInput) -> Option<f64> {
    Some(
        s.dims(s.node.input.first()?)
            .iter()
            .skip(2)
            .map(|&d| d as f64)
            .product(),
    )
}

fn pooled(s: &MomentsInput, over: Over, positions: f64) -> Option<ChannelMoments> {
    let x = s.input(0).filter(|x| x.axis == 1)?;
    over_positions(x, over, positions.max(1.0).sqrt())
}

/// A reduction, and over how many positions.
fn reduced(s: &MomentsInput, over: Over) -> Option<(ChannelMoments, f64)> {
    let x = s.input(0)?;
    let dims = s.input_dims();
    let axes: Vec<i64> = match (s.node.ints("axes"), s.node.input.get(1).filter(|n| !n.is_empty())) {
        (Some(axes), _) => axes,
        (None, Some(name)) => s.graph.constant(name)?.to_i64()?,
        (None, None) => return None,
    };
    let mut axes: Vec<usize> = axes
        .iter()
        .map(|&a| wrapped_axis(a, dims.len()))
        .collect::<Option<_>>()?;
    // An axis may be named twice, from the front and from the back.
    axes.sort_unstable();
    axes.dedup();
    if axes.contains(&x.axis) {
        return None;
    }
    let positions: f64 = axes.iter().map(|&a| dims[a] as f64).product();
    let made = over_positions(x, over, positions.max(1.0).sqrt())?;
    let axis = match s.node.int("keepdims", 1) {
        0 => x.axis - axes.iter().filter(|&&a| a < x.axis).count(),
        _ => x.axis,
    };
    Some((made.on_axis(axis), positions))
}

/// The mean of so many independent positions, or the greatest of them.
fn over_positions(x: &ChannelMoments, over: Over, positions: f64) -> Option<ChannelMoments> {
    let pooled = |&(mean, variance): &Guess| {
        if over == Over::Mean {
            return (mean, variance / positions);
        }
        // The greatest of n normal variables: density n φ(z) Φ(z)ⁿ⁻¹.
        let (mut below, mut whole, mut first, mut second) = (0.0, 0.0, 0.0, 0.0);
        for at in 0..PLACES {
            let (z, share) = place(at);
            let weight = positions * share * f64::powf(below + 0.5 * share, positions - 1.0);
            below += share;
            (whole, first, second) = (whole + weight, first + weight * z, second + weight * z * z);
        }
        let (first, second) = (first / whole, second / whole);
        (
            mean + variance.sqrt() * first,
            variance * (second - first * first).max(0.0),
        )
    };
    let made: Vec<Guess> = x.moments()?.iter().map(pooled).collect();
    Some(ChannelMoments::normal(x.axis, &made))
}
