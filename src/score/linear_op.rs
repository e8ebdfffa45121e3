//! Layers that mix channels by constant weights, in one form: outputs × (inputs · taps), group by group.

use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph, Tensor};

/// How a layer reads its input.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// A convolution: kernel, strides, pads and dilations by spatial axis; `same` for computed pads
    /// (`Some(true)` puts the odd one at the end).
    Conv {
        /// Extents of the kernel.
        kernel: Vec<usize>,
        /// Steps between output places.
        strides: Vec<usize>,
        /// Rows of zeros before the input.
        pads: Vec<usize>,
        /// Rows of zeros behind the input.
        ends: Vec<usize>,
        /// Rows that a transposed convolution makes more.
        more: Vec<usize>,
        /// Steps between taps.
        dilations: Vec<usize>,
        /// Pads worked out from the extents.
        same: Option<bool>,
        /// A transposed convolution.
        transposed: bool,
    },
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
    /// Groups that inputs and outputs are split into.
    pub groups: usize,
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
    /// The layer at a node; `None` for other operators, computed weights, and forms that are not followed.
    pub fn of(graph: &Graph, index: usize) -> Option<Self> {
        let node = &graph.proto.node[index];
        if !matches!(node.domain(), "" | "ai.onnx") {
            return None;
        }
        let dims = graph.stored(node.input.get(1)?).filter(Tensor::is_float)?.dims;
        let groups = usize::try_from(node.int("group", 1)).ok().filter(|&g| g > 0)?;
        let bias = match node.input.get(2).filter(|n| !n.is_empty()) {
            Some(name) => Some(graph.stored(name).filter(Tensor::is_float)?),
            None => None,
        };
        let (form, groups, outputs, inputs, taps) = match (node.op_type(), dims.len()) {
            ("Conv", 3..) if dims[0].is_multiple_of(groups) => {
                (conv(node, &dims[2..], false)?, groups, dims[0], dims[1], &dims[2..])
            }
            ("ConvTranspose", 3..) if dims[0].is_multiple_of(groups) => {
                let form = conv(node, &dims[2..], true)?;
                (form, groups, dims[1] * groups, dims[0] / groups, &dims[2..])
            }
            ("Gemm", 2) => {
                let plain = node.int("transA", 0) == 0;
                let one = |name| node.float(name, 1.0) == 1.0;
                let outputs_first = node.int("transB", 0) != 0;
                let (outputs, inputs) = if outputs_first {
                    (dims[0], dims[1])
                } else {
                    (dims[1], dims[0])
                };
                let form = (plain && one("alpha") && one("beta")).then_some(Form::Gemm { outputs_first })?;
                (form, 1, outputs, inputs, &dims[2..])
            }
            ("MatMul", 2) => (Form::MatMul, 1, dims[1], dims[0], &dims[2..]),
            _ => return None,
        };
        let taps: usize = taps.iter().product();
        if outputs == 0 || inputs == 0 || taps == 0 {
            return None;
        }
        let fits = bias.as_ref().is_none_or(|b| b.dims == [outputs]);
        if !fits && node.op_type() != "Gemm" {
            return None;
        }
        Some(Self {
            node: index,
            input: node.input.first()?.clone(),
            output: node.output.first()?.clone(),
            takes_bias: fits && form != Form::MatMul,
            form,
            groups,
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

    /// Extents of its output for an input of these extents; `None` where they do not fit the layer.
    pub fn output_dims(&self, input: &[usize]) -> Option<Vec<usize>> {
        let mut dims = input.to_vec();
        let axis = self.channel_axis(input.len());
        *dims.get_mut(axis)? = self.outputs;
        let Form::Conv {
            kernel,
            strides,
            pads,
            ends,
            more,
            dilations,
            same,
            transposed,
        } = &self.form
        else {
            return Some(dims);
        };
        if input.len() != kernel.len() + 2 {
            return None;
        }
        for (k, dim) in dims.iter_mut().skip(2).enumerate() {
            let span = (kernel[k] - 1) * dilations[k] + 1;
            let padding = pads[k] + ends[k];
            *dim = match (transposed, same) {
                (true, _) => (strides[k] * dim.checked_sub(1)? + more[k] + span).checked_sub(padding)?,
                (false, Some(_)) => dim.div_ceil(strides[k]),
                (false, None) => (*dim + padding).checked_sub(span)? / strides[k] + 1,
            };
        }
        Some(dims)
    }

    /// Whether every output reads one channel only, so that it mixes none.
    pub fn is_depthwise(&self) -> bool {
        self.inputs == 1 && self.groups > 1
    }

    /// Columns of one group: its input channels times taps.
    pub fn columns(&self) -> usize {
        self.inputs * self.taps
    }

    /// Columns of all groups, side by side.
    pub fn all_columns(&self) -> usize {
        self.groups * self.columns()
    }

    /// Output channels of one group.
    pub fn group_outputs(&self) -> usize {
        self.outputs / self.groups
    }

    /// The weights, outputs × columns of the output's group, row-major.
    pub fn weights(&self, graph: &Graph) -> Option<Vec<f32>> {
        let node = graph.proto.node.get(self.node)?;
        let stored = graph.stored(node.input.get(1)?)?.to_f32()?;
        Some(self.rearranged(&stored, false))
    }

    /// The bias; zeros where there is none.
    pub fn bias(&self, graph: &Graph) -> Vec<f32> {
        let name = graph.proto.node.get(self.node).and_then(|n| n.input.get(2));
        let stored = name.filter(|n| !n.is_empty()).and_then(|n| graph.stored(n)?.to_f32());
        stored
            .filter(|b| b.len() == self.outputs)
            .unwrap_or_else(|| vec![0.0; self.outputs])
    }

    /// Weights as [`LinearOp::weights`] gives them, in the order of the file.
    pub fn stored_order(&self, rows: &[f32]) -> Vec<f32> {
        self.rearranged(rows, true)
    }

    /// Between the file's order and rows of outputs (`back`: from rows to the file's).
    fn rearranged(&self, from: &[f32], back: bool) -> Vec<f32> {
        let input_major = match self.form {
            Form::Conv { transposed, .. } => transposed,
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
                    if back {
                        to[file] = from[row];
                    } else {
                        to[row] = from[file];
                    }
                }
            }
        }
        to
    }
}

fn conv(node: &NodeProto, kernel: &[usize], transposed: bool) -> Option<Form> {
    let rank = kernel.len();
    let list = |name: &str, default: usize| -> Option<Vec<usize>> {
        match node.ints(name) {
            None => Some(vec![default; rank]),
            Some(v) => v.iter().take(rank).map(|&x| usize::try_from(x).ok()).collect(),
        }
    };
    let same = match node.text("auto_pad", "NOTSET").as_str() {
        "SAME_UPPER" => Some(true),
        "SAME_LOWER" => Some(false),
        "VALID" | "NOTSET" | "" => None,
        _ => return None,
    };
    if transposed && (same.is_some() || node.attr("output_shape").is_some()) {
        return None;
    }
    let form = Form::Conv {
        kernel: kernel.to_vec(),
        strides: list("strides", 1)?,
        pads: list("pads", 0)?,
        ends: match node.ints("pads") {
            None => vec![0; rank],
            Some(all) => {
                let behind = all.iter().skip(rank);
                behind.map(|&x| usize::try_from(x).ok()).collect::<Option<_>>()?
            }
        },
        more: list("output_padding", 0)?,
        dilations: list("dilations", 1)?,
        same,
        transposed,
    };
    match &form {
        Form::Conv {
            strides,
            pads,
            ends,
            more,
            dilations,
            ..
        } if [strides, pads, ends, more, dilations].iter().all(|l| l.len() == rank) && !strides.contains(&0) => {
            Some(form)
        }
        _ => None,
    }
}
