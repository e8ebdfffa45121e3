//! What layers see, guessed from weights and normalizations alone: mean and variance of every channel.
//!
//! A normalization's output has the mean and deviation that it was trained to give (its shift and scale). A layer's
//! output is guessed from its inputs as if these were independent; operators on single elements by quadrature over a
//! normal variable, constants with their own numbers. Inputs of the model count as of mean 0 and variance 1. What an
//! operator without a rule makes is unknown, and so is all that follows, up to the next normalization.

use std::collections::HashMap;

use super::moments::Moments;
use super::statistics::Statistics;
use crate::channels::moments::{ChannelMoments, Guess, MomentsInput, on_axis};
use crate::channels::{Analysis, like};
use crate::onnx::Graph;
use crate::ops::LinearOp;

/// A channel's variance counts as at least this share of the mean variance of a layer's channels, and this share of their
/// mean square: a guess cannot tell that a channel carries nothing.
const FLOOR: f64 = 0.02;
const FLOOR_OF_SQUARE: f64 = 1e-3;

impl Statistics {
    /// Guessed moments of the inputs of layers. Those of which nothing can be told are in `blind`; their channels count as
    /// equal.
    pub fn guessed(graph: &Graph, analysis: &Analysis, wanted: &[LinearOp]) -> Self {
        let known = guesses(graph, analysis);
        let mut found = Self::default();
        for linear_op in wanted {
            let channels = linear_op.input_channels();
            let rank = analysis
                .dependencies
                .by_name(&linear_op.input)
                .map(|id| analysis.dependencies.dims(id).len());
            let axis = linear_op.channel_axis(rank.unwrap_or(0));
            let own = known
                .get(linear_op.input.as_str())
                .and_then(|v| on_axis(v, axis, channels));
            if own.is_none() {
                found.blind.insert(linear_op.node);
            }
            let own = floored(own.unwrap_or_else(|| vec![(0.0, 1.0); channels]));
            found
                .single
                .insert(linear_op.node, Moments::independent(&own, linear_op.taps));
        }
        found
    }
}

fn floored(mut channels: Vec<Guess>) -> Vec<Guess> {
    let n = channels.len().max(1) as f64;
    let variance = channels.iter().map(|c| c.1).sum::<f64>() / n;
    let square = channels.iter().map(|c| c.0 * c.0 + c.1).sum::<f64>() / n;
    let least = f64::max(FLOOR * variance, FLOOR_OF_SQUARE * square);
    // Where all is zero nothing is known of the scale, nor does it matter.
    let least = if least > f64::MIN_POSITIVE { least } else { 1.0 };
    channels.iter_mut().for_each(|c| c.1 = c.1.max(least));
    channels
}

/// The axis of the channels and their moments, for every layer's input of which something can be told.
fn guesses(graph: &Graph, analysis: &Analysis) -> HashMap<String, (usize, Vec<Guess>)> {
    let dependencies = &analysis.dependencies;
    let dims = |name: &str| dependencies.by_name(name).map_or(&[][..], |id| dependencies.dims(id));
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.proto.node.iter().enumerate() {
        last.extend(node.input.iter().map(|n| (n.as_str(), index)));
    }
    let mut known: HashMap<String, ChannelMoments> = HashMap::new();
    for name in graph.real_inputs() {
        if let Some(&width) = dims(name).get(1) {
            known.insert(name.to_owned(), ChannelMoments::normal(1, &vec![(0.0, 1.0); width]));
        }
    }
    // Of layers' inputs the moments are kept to the end; the rest as long as it is read.
    let mut kept: HashMap<String, (usize, Vec<Guess>)> = HashMap::new();
    for (index, node) in graph.proto.node.iter().enumerate() {
        if let Some(linear_op) = LinearOp::of(graph, index)
            && let Some(value) = known.get(&linear_op.input)
            && let Some(moments) = value.moments()
        {
            kept.insert(linear_op.input, (value.axis, moments));
        }
        let input = MomentsInput {
            graph,
            dependencies,
            known: &known,
            index,
            node,
        };
        let made = like(node).and_then(|spec| spec.moments_of(&input));
        for (name, value) in node.output.iter().zip(made.into_iter().flatten()) {
            let fits = |v: &ChannelMoments| {
                let here = dims(name);
                here.get(v.axis) == Some(&v.channels()) && v.moments().is_some()
            };
            if let Some(value) = value.filter(fits) {
                known.insert(name.clone(), value);
            }
        }
        for name in node.input.iter().filter(|n| last.get(n.as_str()) == Some(&index)) {
            known.remove(name.as_str());
        }
    }
    kept
}

#[cfg(test)]
mod tests;
