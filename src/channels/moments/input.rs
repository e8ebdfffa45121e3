//! What a rule of moments sees: its node, and what is known of the values before it.

use std::collections::HashMap;

use super::channel_moments::ChannelMoments;
use super::constants::constant;
use crate::channels::dependency_graph::DependencyGraph;
use crate::onnx::Graph;
use crate::onnx::proto::NodeProto;

/// Moments of the outputs of a node, in order; `None` for those of which nothing is known.
pub type EachOutput = Option<Vec<Option<ChannelMoments>>>;

/// How an operator changes moments. An operator without a rule makes something unknown.
#[derive(Clone, Copy)]
pub enum MomentsRule {
    /// The moments of the first output.
    First(fn(&MomentsInput) -> Option<ChannelMoments>),
    /// The moments of every output.
    Each(fn(&MomentsInput) -> EachOutput),
}

/// A node and what is known of its inputs.
pub struct MomentsInput<'a> {
    /// The graph.
    pub graph: &'a Graph<'a>,
    /// Shapes of values.
    pub dependencies: &'a DependencyGraph,
    /// Moments by value name.
    pub known: &'a HashMap<String, ChannelMoments>,
    /// Index of the node.
    pub index: usize,
    /// The node.
    pub node: &'a NodeProto,
}

impl MomentsInput<'_> {
    /// Moments of input `at`.
    pub fn input(&self, at: usize) -> Option<&ChannelMoments> {
        self.known.get(self.node.input.get(at)?)
    }

    /// Shape of a value; empty when unknown.
    pub fn dims(&self, name: &str) -> &[usize] {
        let id = self.dependencies.by_name(name);
        id.map_or(&[][..], |id| self.dependencies.dims(id))
    }

    /// Shape of the first input.
    pub fn input_dims(&self) -> &[usize] {
        self.node.input.first().map_or(&[][..], |n| self.dims(n))
    }

    /// Shape of the first output.
    pub fn output_dims(&self) -> &[usize] {
        self.node.output.first().map_or(&[][..], |n| self.dims(n))
    }

    /// A constant's values and shape, also through views.
    pub fn constant(&self, name: &str) -> Option<(Vec<f32>, Vec<usize>)> {
        constant(self.graph, self.dependencies, name)
    }

    /// A value's channels on the axis and in the number that they have in the output.
    pub fn aligned(&self, name: &str) -> Option<ChannelMoments> {
        let (out, own) = (self.output_dims(), self.dims(name));
        let value = self.known.get(name)?;
        let axis = value.axis + out.len().checked_sub(own.len())?;
        let wide = *out.get(axis)?;
        match value.channels() {
            n if n == wide => Some(value.clone().on_axis(axis)),
            1 => Some(value.picked(std::iter::repeat_n(0, wide))?.on_axis(axis)),
            _ => None,
        }
    }
}

/// An axis counted from the front of `rank` axes.
pub fn wrapped_axis(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis).ok().filter(|&a| a < rank)
}
