//! Operators that multiply by weights: which input these are, which axis is summed over, and how many multiply-accumulates
//! they take.

use super::conv_spec::groups;
use crate::onnx::Attributes;
use crate::onnx::proto::NodeProto;

/// What kind of product an operator computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinearKind {
    /// A convolution; weights are outputs × inputs of a group × kernel.
    Conv,
    /// A transposed convolution; weights are inputs × outputs of a group × kernel.
    ConvTranspose,
    /// A product of two matrices, either of which may be transposed.
    Gemm,
    /// A product of stacks of matrices.
    MatMul,
    /// A product by an equation.
    Einsum,
}

impl LinearKind {
    /// Whether it slides a kernel over spatial axes.
    pub fn is_convolution(self) -> bool {
        matches!(self, Self::Conv | Self::ConvTranspose)
    }
}

/// Where an operator on integers has what describes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantizedInputs {
    /// The input with the scales of the weights.
    pub scale: Option<usize>,
    /// The input with the zero point that has the type of the activations.
    pub zero_point: Option<usize>,
    /// The input with the zero points of the weights.
    pub weight_zero_point: usize,
    /// The input with the bias.
    pub bias: Option<usize>,
}

/// A linear operator. Its first input is the activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearSpec {
    /// The operator's type.
    pub name: &'static str,
    /// The kind of product.
    pub kind: LinearKind,
    /// The input with the weights (of `MatMul` and `Einsum`: the second operand).
    pub weight: usize,
    /// For operators on integers.
    pub quantized: Option<QuantizedInputs>,
}

const fn float(name: &'static str, kind: LinearKind) -> LinearSpec {
    LinearSpec {
        name,
        kind,
        weight: 1,
        quantized: None,
    }
}

const fn integer(name: &'static str, kind: LinearKind, weight: usize, inputs: QuantizedInputs) -> LinearSpec {
    LinearSpec {
        name,
        kind,
        weight,
        quantized: Some(inputs),
    }
}

/// Activation, weights, zero points of both.
const SUMS: QuantizedInputs = QuantizedInputs {
    scale: None,
    zero_point: Some(2),
    weight_zero_point: 3,
    bias: None,
};

/// Activation, weights and output, each with scale and zero point; the bias is where the operator has it.
const fn scaled(bias: Option<usize>) -> QuantizedInputs {
    QuantizedInputs {
        scale: Some(4),
        zero_point: Some(2),
        weight_zero_point: 5,
        bias,
    }
}

/// Those of the standard and, on integers, of ONNX Runtime.
const ALL: [LinearSpec; 13] = [
    float("Conv", LinearKind::Conv),
    float("ConvTranspose", LinearKind::ConvTranspose),
    float("Gemm", LinearKind::Gemm),
    float("MatMul", LinearKind::MatMul),
    float("Einsum", LinearKind::Einsum),
    integer("QLinearConv", LinearKind::Conv, 3, scaled(Some(8))),
    integer("QLinearConvTranspose", LinearKind::ConvTranspose, 3, scaled(Some(8))),
    integer("ConvInteger", LinearKind::Conv, 1, SUMS),
    integer("MatMulInteger", LinearKind::MatMul, 1, SUMS),
    integer("QLinearMatMul", LinearKind::MatMul, 3, scaled(None)),
    integer("QGemm", LinearKind::Gemm, 3, scaled(Some(6))),
    integer(
        "DynamicQuantizeMatMul",
        LinearKind::MatMul,
        1,
        QuantizedInputs {
            scale: Some(2),
            zero_point: None,
            weight_zero_point: 3,
            bias: Some(4),
        },
    ),
    integer(
        "MatMulIntegerToFloat",
        LinearKind::MatMul,
        1,
        QuantizedInputs {
            scale: Some(3),
            zero_point: Some(4),
            weight_zero_point: 5,
            bias: Some(6),
        },
    ),
];

impl LinearSpec {
    /// The operator of a node, of the standard or of ONNX Runtime; `None` for operators that are not linear.
    pub fn of(node: &NodeProto) -> Option<&'static Self> {
        ALL.iter().find(|s| s.name == node.op_type())
    }

    /// The kind of a node of the standard on floating-point numbers; `None` for all others.
    pub fn kind_of(node: &NodeProto) -> Option<LinearKind> {
        let spec = Self::of(node).filter(|s| s.quantized.is_none() && node.is_standard());
        spec.map(|s| s.kind)
    }

    /// Whether a node is a convolution of the standard on floating-point numbers, transposed or not.
    pub fn is_convolution(node: &NodeProto) -> bool {
        Self::kind_of(node).is_some_and(LinearKind::is_convolution)
    }

    /// Whether a node is a convolution of the standard on numbers of any kind, transposed or not.
    pub fn slides(node: &NodeProto) -> bool {
        Self::is_convolution(node) || Self::of(node).is_some_and(|s| s.quantized.is_some() && s.kind.is_convolution())
    }

    /// The input with the bias, where the operator takes one.
    pub fn bias(&self) -> Option<usize> {
        match (self.quantized, self.kind) {
            (Some(inputs), _) => inputs.bias,
            (None, LinearKind::MatMul | LinearKind::Einsum) => None,
            (None, _) => Some(2),
        }
    }

    /// Whether a convolution's outputs each read one channel only, so that it mixes none. `weights` is the weights' shape.
    pub fn is_depthwise(node: &NodeProto, weights: &[usize]) -> bool {
        let channels_of_a_group = match Self::kind_of(node) {
            Some(LinearKind::Conv) => weights.get(1).copied(),
            Some(LinearKind::ConvTranspose) => groups(node).and_then(|g| Some(weights.first()? / g)),
            _ => None,
        };
        groups(node).is_some_and(|g| g > 1) && channels_of_a_group == Some(1)
    }

    /// The axis of input `input` (shape `dims`), a weight, that is summed over with the activation's channels; `None` for
    /// depthwise weights and for inputs that are no operand.
    pub fn summed_axis(node: &NodeProto, input: usize, dims: &[usize]) -> Option<usize> {
        let flag = |name: &str| usize::from(node.int(name, 0) != 0);
        let mixes = node.int("group", 1) == 1 || dims.get(1) != Some(&1);
        match (Self::of(node).filter(|s| s.quantized.is_none())?.kind, input) {
            (LinearKind::Conv, 1) if mixes => Some(1),
            (LinearKind::ConvTranspose, 1) if mixes => Some(0),
            (LinearKind::Gemm, 0) => Some(1 - flag("transA")),
            (LinearKind::Gemm, 1) => Some(flag("transB")),
            (LinearKind::MatMul, 0) => dims.len().checked_sub(1),
            (LinearKind::MatMul, 1) => dims.len().checked_sub(2),
            _ => None,
        }
    }

    /// Multiply-accumulates of one run, from the shapes of activation, weights and output.
    ///
    /// Convolution: output elements × weights per output channel. Transposed: input elements × weights per input channel.
    /// Product: output elements × the size of the axis that is summed over.
    pub fn macs(&self, node: &NodeProto, activation: &[usize], weights: &[usize], output: &[usize]) -> u64 {
        let product = |dims: &[usize]| -> u64 { dims.iter().map(|&d| d as u64).product() };
        let per_channel = product(weights.get(1..).unwrap_or(&[]));
        let rank = activation.len();
        let summed = match self.kind {
            LinearKind::Conv => return product(output) * per_channel,
            LinearKind::ConvTranspose => return product(activation) * per_channel,
            LinearKind::Gemm if rank != 2 => None,
            LinearKind::Gemm if node.int("transA", 0) != 0 => Some(0),
            LinearKind::Gemm | LinearKind::MatMul | LinearKind::Einsum => rank.checked_sub(1),
        };
        summed.map_or(0, |axis| product(output) * activation[axis] as u64)
    }
}
