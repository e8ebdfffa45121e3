//! Constants beside activations: their numbers for every channel.

use super::channel_moments::Guess;
use crate::channels::dependency_graph::DependencyGraph;
use crate::onnx::Graph;
use crate::ops::Movement;

/// A constant's values and shape, also where it comes through operators that only view it.
pub fn constant(graph: &Graph, dependencies: &DependencyGraph, name: &str) -> Option<(Vec<f32>, Vec<usize>)> {
    let mut at = name;
    for _ in 0..8 {
        if let Some(tensor) = graph.constant(at) {
            let values = tensor.to_f32()?;
            let seen = dependencies.by_name(name).filter(|_| at != name);
            let dims = seen.map_or(tensor.dims, |id| dependencies.dims(id).to_vec());
            return (dims.iter().product::<usize>() == values.len()).then_some((values, dims));
        }
        let node = &graph.proto.node[*graph.producer.get(at)?];
        let views = matches!(Movement::of(node), Some(Movement::View | Movement::Conversion));
        at = node.input.first().filter(|_| views)?;
    }
    None
}

/// The mean of a constant over all places with each index of `axis` of what it is broadcast to (`rank` axes, `channels`
/// indices on that axis), and its variance there; `None` where it does not fit.
pub fn by_channel(
    (values, dims): &(Vec<f32>, Vec<usize>),
    rank: usize,
    axis: usize,
    channels: usize,
) -> Option<Vec<Guess>> {
    let before = rank.checked_sub(dims.len())?;
    let own = axis.checked_sub(before);
    let dim = own.map_or(1, |a| dims[a]);
    if dim != 1 && dim != channels {
        return None;
    }
    let inner: usize = own.map_or(values.len(), |a| dims[a + 1..].iter().product());
    let mut sums = vec![(0.0, 0.0, 0.0); dim];
    for (i, &v) in values.iter().enumerate() {
        let c = if dim == 1 { 0 } else { i / inner.max(1) % dim };
        let v = f64::from(v);
        sums[c] = (sums[c].0 + 1.0, sums[c].1 + v, sums[c].2 + v * v);
    }
    let one = |&(n, sum, squares): &(f64, f64, f64)| {
        let mean = sum / n;
        let variance = (squares / n - mean * mean).max(0.0);
        // What only rounding tells apart is one number.
        (mean, if variance > 1e-9 * mean * mean { variance } else { 0.0 })
    };
    let found: Vec<Guess> = sums.iter().map(one).collect();
    let all = found.iter().all(|g| g.0.is_finite() && g.1.is_finite());
    all.then(|| (0..channels).map(|c| found[if dim == 1 { 0 } else { c }]).collect())
}
