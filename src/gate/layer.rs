//! A convolution of a block's branch.

use crate::onnx::{Graph, Tensor};
use crate::ops::{ConvSpec, Direction, LinearKind, LinearOp, LinearSpec, Padding};

/// A convolution of two spatial axes with constant weights.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchLayer {
    /// Index of its node.
    pub node: usize,
    /// Output channels.
    pub outputs: usize,
    /// Input channels, over all groups.
    pub inputs: usize,
    /// Kernel, strides, dilations, pads (explicit ones) and groups.
    pub spec: ConvSpec,
}

impl BranchLayer {
    /// The layer at a node, if it is one.
    pub fn of(graph: &Graph, index: usize) -> Option<Self> {
        let node = &graph.proto.node[index];
        if LinearSpec::kind_of(node) != Some(LinearKind::Conv) {
            return None;
        }
        let dims = graph.constant(node.input.get(1)?).filter(Tensor::is_float)?.dims;
        let constant = |n: &String| n.is_empty() || graph.constant(n).is_some();
        if dims.len() != 4 || !node.input.get(2).is_none_or(constant) {
            return None;
        }
        let spec = ConvSpec::of(node, &dims[2..], Direction::Forward)?;
        let sound = matches!(spec.padding, Padding::Explicit { .. }) && !spec.dilations.contains(&0);
        let layer = Self {
            node: index,
            outputs: dims[0],
            inputs: dims[1] * spec.groups,
            spec,
        };
        (sound && layer.outputs > 0 && layer.inputs > 0).then_some(layer)
    }

    /// The weights in the order of the file; `None` where they cannot be read as floats.
    pub fn weights(&self, graph: &Graph) -> Option<Vec<f32>> {
        LinearOp::of(graph, self.node)?.weights(graph)
    }

    /// The bias; zeros where there is none.
    pub fn bias(&self, graph: &Graph) -> Option<Vec<f32>> {
        Some(LinearOp::of(graph, self.node)?.bias(graph))
    }

    /// Whether every channel is made of the one at its own place alone.
    pub fn is_depthwise(&self) -> bool {
        self.spec.groups > 1 && self.spec.groups == self.inputs && self.inputs == self.outputs
    }

    /// Kernel rows × columns.
    pub fn taps(&self) -> usize {
        self.spec.taps()
    }

    /// Zeros before the input's rows (`axis` 0) or columns, and behind them.
    pub fn pads(&self, axis: usize) -> [usize; 2] {
        // Explicit ones depend on no size.
        self.spec.pads(axis, 0)
    }

    /// Multiply-accumulates for so many output rows and columns.
    pub fn macs(&self, shape: [usize; 2]) -> u64 {
        self.spec.macs(self.inputs, self.outputs, shape[0] * shape[1])
    }
}
