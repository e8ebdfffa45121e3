//! Channels that hold one known number at every position: how operators pass such numbers on.

use std::collections::HashMap;

use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph};
use crate::ops::{ChannelAffine, LinearSpec, groups};

/// The number that each index of axis 1 holds at every position, where it is known.
pub type Levels = Vec<Option<f32>>;

/// How an operator passes known numbers on. Behind an operator without a rule nothing is known.
#[derive(Clone, Copy)]
pub enum FoldingRule {
    /// By its function of one number.
    Scalar,
    /// By a rule of its own.
    Rule(fn(&FoldingInput) -> Option<Levels>),
}

/// A node whose first input and output have an axis 1, and what is known of its inputs.
pub struct FoldingInput<'a> {
    /// The graph.
    pub graph: &'a Graph<'a>,
    /// The node.
    pub node: &'a NodeProto,
    /// Known numbers by value name.
    pub known: &'a HashMap<String, Levels>,
    /// Shape of the first input.
    pub input_dims: &'a [usize],
    /// Shape of the first output.
    pub output_dims: &'a [usize],
}

impl FoldingInput<'_> {
    /// Known numbers of an input; those of an unknown value for as many channels as the first input has.
    pub fn input(&self, i: usize) -> Levels {
        let found = self.node.input.get(i).and_then(|n| self.known.get(n));
        found.cloned().unwrap_or_else(|| vec![None; self.input_dims[1]])
    }

    /// Floats of a constant input.
    fn constant(&self, i: usize) -> Option<Vec<f32>> {
        self.graph.stored(self.node.input.get(i)?)?.to_f32()
    }

    /// An operand as numbers of axis 1; a constant one of shape C×1×1, 1×C×1×1 or one element counts.
    fn operand(&self, i: usize) -> Levels {
        let Some(tensor) = self.node.input.get(i).and_then(|n| self.graph.stored(n)) else {
            return self.input(i);
        };
        let (Some(values), width) = (tensor.to_f32(), self.input_dims[1]) else {
            return self.input(i);
        };
        let behind = self.input_dims.len() - 2;
        let channelwise = tensor.dims.iter().rev().take(behind).all(|&d| d == 1)
            && tensor.dims.iter().rev().nth(behind) == Some(&width);
        if values.len() == 1 {
            vec![Some(values[0]); width]
        } else if channelwise && values.len() == width {
            values.into_iter().map(Some).collect()
        } else {
            vec![None; width]
        }
    }

    fn pairwise(&self, f: fn(Option<f32>, Option<f32>) -> Option<f32>) -> Option<Levels> {
        let (a, b) = (self.operand(0), self.operand(1));
        (a.len() == b.len()).then(|| a.iter().zip(&b).map(|(&a, &b)| f(a, b)).collect())
    }
}

/// A channel whose weights are all zero holds its bias; a depthwise one also where its input is zero.
pub(super) fn conv(s: &FoldingInput) -> Option<Levels> {
    let weights = s.graph.stored(s.node.input.get(1)?)?;
    let values = weights.to_f32()?;
    let outputs = *weights.dims.first()?;
    let row = values.len() / outputs.max(1);
    let bias = match s.node.input.get(2).filter(|n| !n.is_empty()) {
        Some(_) => s.constant(2)?,
        None => vec![0.0; outputs],
    };
    let input = s.input(0);
    let depthwise = LinearSpec::is_depthwise(s.node, &weights.dims);
    let multiplier = outputs / groups(s.node)?;
    let one = |o: usize| {
        let blank = values[o * row..(o + 1) * row].iter().all(|&w| w == 0.0);
        let fed_zero = depthwise && input.get(o / multiplier.max(1)).copied().flatten() == Some(0.0);
        (blank || fed_zero).then(|| bias.get(o).copied()).flatten()
    };
    Some((0..outputs).map(one).collect())
}

/// Scaled and shifted; a channel with factor 0 holds its shift.
pub(super) fn batch_norm(s: &FoldingInput) -> Option<Levels> {
    let ChannelAffine { slope, mean, shift } = ChannelAffine::of(s.graph, s.node)?;
    let one = |(c, level): (usize, &Option<f32>)| match *slope.get(c)? {
        0.0 => Some(shift[c]),
        slope => level.map(|v| (v - mean[c]) * slope + shift[c]),
    };
    Some(s.input(0).iter().enumerate().map(one).collect())
}

/// The same numbers.
pub(super) fn same(s: &FoldingInput) -> Option<Levels> {
    Some(s.input(0))
}

/// Zeros stay zero; others meet the zeros of a padding.
pub(super) fn zeros(s: &FoldingInput) -> Option<Levels> {
    Some(s.input(0).into_iter().map(|l| l.filter(|&v| v == 0.0)).collect())
}

/// A sum of two.
pub(super) fn add(s: &FoldingInput) -> Option<Levels> {
    s.pairwise(|a, b| Some(a? + b?))
}

/// A product of two, zero where either is.
pub(super) fn mul(s: &FoldingInput) -> Option<Levels> {
    s.pairwise(|a, b| match (a, b) {
        (Some(0.0), _) | (_, Some(0.0)) => Some(0.0),
        (a, b) => Some(a? * b?),
    })
}

/// Parts side by side on axis 1. Parts of unknown width are not followed.
pub(super) fn concat(s: &FoldingInput) -> Option<Levels> {
    let axis = s.node.int("axis", 0);
    if axis != 1 && axis != 1 - s.output_dims.len() as i64 {
        return None;
    }
    let all: Levels = (0..s.node.input.len()).flat_map(|i| s.input(i)).collect();
    (all.len() == s.output_dims[1]).then_some(all)
}

/// Every position of a channel holds the channel's number.
pub(super) fn flatten(s: &FoldingInput) -> Option<Levels> {
    if s.node.int("axis", 1) != 1 || s.output_dims.len() != 2 {
        return None;
    }
    let positions: usize = s.input_dims[2..].iter().product();
    let repeated = |level| std::iter::repeat_n(level, positions);
    Some(s.input(0).into_iter().flat_map(repeated).collect())
}
