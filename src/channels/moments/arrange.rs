//! Moments behind operators that only move values: parts side by side, parts of a value, other axes.

use super::channel_moments::{ChannelMoments, Guess, pooled};
use super::input::{EachOutput, MomentsInput, wrapped_axis};
use crate::onnx::Attributes;

/// Values that stay where they are, as long as the channels do.
pub fn same(s: &MomentsInput) -> Option<ChannelMoments> {
    let x = s.input(0)?;
    (s.output_dims().get(x.axis) == Some(&x.channels())).then(|| x.clone())
}

/// Parts side by side: along the channels each keeps its own, along another axis they are mixed.
pub fn joined(s: &MomentsInput) -> Option<ChannelMoments> {
    let rank = s.output_dims().len();
    let axis = wrapped_axis(s.node.int("axis", 0), rank)?;
    let parts: Vec<ChannelMoments> = s
        .node
        .input
        .iter()
        .map(|n| s.known.get(n).cloned())
        .collect::<Option<_>>()?;
    let first = parts.first()?;
    if parts.iter().any(|p| p.axis != first.axis) {
        return None;
    }
    if axis == first.axis {
        return ChannelMoments::joined(&parts);
    }
    let all: Vec<Vec<Guess>> = parts.iter().map(ChannelMoments::moments).collect::<Option<_>>()?;
    let channel = |c: usize| -> Option<Guess> {
        let own: Vec<Guess> = all.iter().map(|p| p.get(c).copied()).collect::<Option<_>>()?;
        Some(pooled(&own))
    };
    let mixed: Vec<Guess> = (0..first.channels()).map(channel).collect::<Option<_>>()?;
    Some(ChannelMoments::normal(first.axis, &mixed))
}

/// Every part has its stretch of the channels, or all of them where another axis is split.
pub fn split(s: &MomentsInput) -> EachOutput {
    let x = s.input(0)?;
    let axis = wrapped_axis(s.node.int("axis", 0), s.dims(s.node.input.first()?).len())?;
    let mut from = 0;
    let mut parts = Vec::new();
    for name in &s.node.output {
        if axis != x.axis {
            parts.push(Some(x.clone()));
            continue;
        }
        let wide = *s.dims(name).get(axis)?;
        parts.push(x.picked(from..from + wide));
        from += wide;
    }
    Some(parts)
}

/// A stretch of the channels, or all of them where other axes are cut.
pub fn sliced(s: &MomentsInput) -> Option<ChannelMoments> {
    let x = s.input(0)?;
    let dims = s.dims(s.node.input.first()?);
    let list = |attribute: &str, at: usize| -> Option<Vec<i64>> {
        match (s.node.ints(attribute), s.node.input.get(at).filter(|n| !n.is_empty())) {
            (Some(v), _) => Some(v.to_vec()),
            (None, Some(name)) => s.graph.constant(name)?.to_i64(),
            (None, None) => Some(Vec::new()),
        }
    };
    let (starts, axes, steps) = (list("starts", 1)?, list("axes", 3)?, list("steps", 4)?);
    let axis_of = |k: usize| axes.get(k).map_or(Some(k), |&a| wrapped_axis(a, dims.len()));
    let Some(k) = (0..starts.len()).find(|&k| axis_of(k) == Some(x.axis)) else {
        return Some(x.clone());
    };
    let wide = *s.output_dims().get(x.axis)?;
    let step = steps.get(k).copied().unwrap_or(1);
    let dim = x.channels() as i64;
    let start = if starts[k] < 0 { starts[k] + dim } else { starts[k] };
    let start = match step {
        1.. => start.clamp(0, dim),
        _ if dim == 0 => return None,
        _ => start.clamp(0, dim - 1),
    };
    let at = |i: usize| usize::try_from(start + i as i64 * step).ok();
    let picked: Vec<usize> = (0..wide).map(at).collect::<Option<_>>()?;
    x.picked(picked.into_iter())
}

/// The channels on another axis.
pub fn transposed(s: &MomentsInput) -> Option<ChannelMoments> {
    let x = s.input(0)?;
    let rank = s.output_dims().len();
    let axis = match s.node.ints("perm") {
        Some(perm) => perm.iter().position(|&p| p == x.axis as i64)?,
        None => rank.checked_sub(1 + x.axis)?,
    };
    Some(x.clone().on_axis(axis))
}

/// A view with other axes: the channels are followed where they stay an axis or come to lie with what lies behind
/// them. Where they are split up or mixed, all channels there count alike.
pub fn reshaped(s: &MomentsInput) -> Option<ChannelMoments> {
    let x = s.input(0)?;
    let (before, after) = (s.dims(s.node.input.first()?), s.output_dims());
    let product = |d: &[usize]| d.iter().product::<usize>();
    let (ahead, behind) = (product(&before[..x.axis]), product(before.get(x.axis + 1..)?));
    let starts = |a: &usize| product(&after[..*a]) == ahead;
    // An axis with as many indices, else one that swallowed what was behind.
    let whole = |a: &usize| after[*a] == x.channels() && product(&after[a + 1..]) == behind;
    if let Some(axis) = (0..after.len()).filter(starts).find(whole) {
        return Some(x.clone().on_axis(axis));
    }
    let swallowed = |a: &usize| after[*a].is_multiple_of(x.channels().max(1)) && after[*a] > x.channels();
    let rest = |a: &usize| product(&after[a + 1..]) * after[*a] == x.channels() * behind;
    if let Some(axis) = (0..after.len()).filter(starts).filter(rest).find(swallowed) {
        let each = after[axis] / x.channels().max(1);
        return Some(x.picked((0..after[axis]).map(|i| i / each))?.on_axis(axis));
    }
    let axis = 1.min(after.len().checked_sub(1)?);
    Some(ChannelMoments::normal(axis, &vec![x.pooled()?; after[axis]]))
}
