//! Layers that mix channels by constant weights, as matrices: outputs × (inputs of a group · taps), group by group.

use super::conv_spec::{ConvSpec, Direction};
use super::dequantized::{float_constant, float_constant_dims};
use super::linear_kind::{LinearKind, LinearSpec};
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph, Tensor};

/// How a layer reads its input.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// A convolution.
    Conv(ConvSpec),
    /// `Gemm`; whether its weights are stored outputs first.
    Gemm {
        /// `transB`.
        outputs_first: bool,
    },
    /// `MatMul` by weights on the right: channels are the last axis.
    MatMul,
}

/// A layer that mixes channels.
#[derive(Clone, Debug)]
pub struct LinearOp {
    /// Index of its node.
    pub node: usize,
    /// Name of its input activation.
    pub input: String,
    /// Name of its output.
    pub output: String,
    /// How it reads.
    pub form: Form,
    /// Output channels, over all groups.
    pub outputs: usize,
    /// Input channels of one group.
    pub inputs: usize,
    /// Weights that one output has for one input.
    pub taps: usize,
    /// Whether it can take a bias.
    pub takes_bias: bool,
}

impl LinearOp {
    /// The layer at a node: its output is its input rows times its weights plus its bias. `None` for other operators, computed
    /// weights or biases, and forms that are not followed.
    pub fn of(graph: &Graph, index: usize) -> Option<Self> {
        let found = Self::by_weights(graph, index)?;
        let node = &graph.proto.node[index];
        let plain = match found.form {
            Form::Conv(_) => found.takes_bias,
            Form::Gemm { .. } => is_unscaled(node) && node.int("transA", 0) == 0 && bias(graph, node).is_some(),
            Form::MatMul => true,
        };
        plain.then_some(found)
    }

    /// As [`LinearOp::of`], also for layers whose bias is computed or that scale what they sum up: only the weights are right for
    /// these, and they take no bias.
    pub fn by_weights(graph: &Graph, index: usize) -> Option<Self> {
        let node = &graph.proto.node[index];
        let kind = LinearSpec::kind_of(node)?;
        let dims = float_constant_dims(graph, node.input.get(1)?)?;
        let (form, outputs, inputs) = match (kind, dims.len()) {
            (LinearKind::Conv, 3..) => {
                let spec = ConvSpec::of(node, &dims[2..], Direction::Forward)?;
                (Form::Conv(spec), dims[0], dims[1])
            }
            (LinearKind::ConvTranspose, 3..) => {
                let spec = ConvSpec::of(node, &dims[2..], Direction::Transposed)?;
                let (outputs, inputs) = (dims[1] * spec.groups, dims[0] / spec.groups);
                (Form::Conv(spec), outputs, inputs)
            }
            (LinearKind::Gemm, 2) if node.int("transB", 0) != 0 => {
                (Form::Gemm { outputs_first: true }, dims[0], dims[1])
            }
            (LinearKind::Gemm, 2) => (Form::Gemm { outputs_first: false }, dims[1], dims[0]),
            (LinearKind::MatMul, 2) => (Form::MatMul, dims[1], dims[0]),
            _ => return None,
        };
        let taps: usize = dims[2..].iter().product();
        let whole = match &form {
            Form::Conv(spec) => dims[0].is_multiple_of(spec.groups),
            _ => true,
        };
        if outputs == 0 || inputs == 0 || taps == 0 || !whole {
            return None;
        }
        let has_bias = node.input.get(2).is_some_and(|n| !n.is_empty());
        let fits = bias(graph, node).is_some_and(|b| b.is_none_or(|b| b.dims == [outputs]));
        Some(Self {
            node: index,
            input: node.input.first()?.clone(),
            output: node.output.first()?.clone(),
            // What is dequantized would need a bias that is too.
            takes_bias: fits
                && (has_bias || graph.stored(node.input.get(1)?).is_some())
                && form != Form::MatMul
                && is_unscaled(node),
            form,
            outputs,
            inputs,
            taps,
        })
    }

    /// The axis of channels in inputs and outputs of so many axes.
    pub fn channel_axis(&self, rank: usize) -> usize {
        match self.form {
            Form::MatMul => rank.max(1) - 1,
            _ => 1,
        }
    }

    /// Groups that inputs and outputs are split into; 1 for products.
    pub fn groups(&self) -> usize {
        match &self.form {
            Form::Conv(spec) => spec.groups,
            _ => 1,
        }
    }

    /// Input channels, over all groups.
    pub fn input_channels(&self) -> usize {
        self.groups() * self.inputs
    }

    /// Shape of its output for an input of this shape; `None` where it does not fit the layer.
    pub fn output_dims(&self, input: &[usize]) -> Option<Vec<usize>> {
        let mut dims = input.to_vec();
        let axis = self.channel_axis(input.len());
        *dims.get_mut(axis)? = self.outputs;
        if let Form::Conv(spec) = &self.form {
            let space = spec.output_shape(input.get(2..)?)?;
            dims.splice(2.., space);
        }
        Some(dims)
    }

    /// Whether every output reads one channel only, so that it mixes none.
    pub fn is_depthwise(&self) -> bool {
        self.inputs == 1 && self.groups() > 1
    }

    /// Columns of one group: its input channels times taps.
    pub fn columns(&self) -> usize {
        self.inputs * self.taps
    }

    /// Columns of all groups, side by side.
    pub fn all_columns(&self) -> usize {
        self.groups() * self.columns()
    }

    /// Output channels of one group.
    pub fn group_outputs(&self) -> usize {
        self.outputs / self.groups()
    }

    /// The weights, outputs × columns of the output's group, row-major.
    pub fn weights(&self, graph: &Graph) -> Option<Vec<f32>> {
        let node = graph.proto.node.get(self.node)?;
        let stored = float_constant(graph, node.input.get(1)?)?.to_f32()?;
        Some(self.rearranged(&stored, Order::Rows))
    }

    /// The bias; zeros where there is none.
    pub fn bias(&self, graph: &Graph) -> Vec<f32> {
        let name = graph.proto.node.get(self.node).and_then(|n| n.input.get(2));
        let stored = name
            .filter(|n| !n.is_empty())
            .and_then(|n| float_constant(graph, n)?.to_f32());
        stored
            .filter(|b| b.len() == self.outputs)
            .unwrap_or_else(|| vec![0.0; self.outputs])
    }

    /// Weights as [`LinearOp::weights`] gives them, in the order of the file.
    pub fn stored_order(&self, rows: &[f32]) -> Vec<f32> {
        self.rearranged(rows, Order::File)
    }

    /// Weights in the order `into`, from the other one.
    fn rearranged(&self, from: &[f32], into: Order) -> Vec<f32> {
        let input_major = match &self.form {
            Form::Conv(spec) => spec.direction == Direction::Transposed,
            Form::Gemm { outputs_first } => !outputs_first,
            Form::MatMul => true,
        };
        if !input_major {
            return from.to_vec();
        }
        let (columns, per) = (self.columns(), self.group_outputs());
        let mut to = vec![0.0; from.len()];
        for o in 0..self.outputs {
            let (group, j) = (o / per, o % per);
            for c in 0..self.inputs {
                for t in 0..self.taps {
                    let row = o * columns + c * self.taps + t;
                    let file = ((group * self.inputs + c) * per + j) * self.taps + t;
                    match into {
                        Order::Rows => to[row] = from[file],
                        Order::File => to[file] = from[row],
                    }
                }
            }
        }
        to
    }
}

/// How weights are laid out.
#[derive(Clone, Copy)]
enum Order {
    /// Outputs × columns.
    Rows,
    /// As the operator has them.
    File,
}

/// The bias of a node, `Some(None)` where it has none; `None` where it is not in the file.
fn bias(graph: &Graph, node: &NodeProto) -> Option<Option<Tensor>> {
    match node.input.get(2).filter(|n| !n.is_empty()) {
        Some(name) => float_constant(graph, name).map(Some),
        None => Some(None),
    }
}

/// Whether a `Gemm` has factors of 1.
fn is_unscaled(node: &NodeProto) -> bool {
    ["alpha", "beta"].iter().all(|name| node.float(name, 1.0) == 1.0)
}

#[cfg(test)]
impl LinearOp {
    /// A matrix product of some inputs with one output and a bias, for tests.
    pub fn neuron(inputs: usize) -> Self {
        Self {
            node: 0,
            input: "x".to_owned(),
            output: "y".to_owned(),
            form: Form::Gemm { outputs_first: true },
            outputs: 1,
            inputs,
            taps: 1,
            takes_bias: true,
        }
    }
}
