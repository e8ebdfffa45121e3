//! A rule for each operator: what a gradient with respect to its output is with respect to its inputs.

mod arrange;
mod conv;
mod matmul;
mod norm;
mod picked;
mod pointwise;
mod pool;
mod quantize;
mod reduce;
mod slice;

use super::tape::{Products, Tape};
use crate::onnx::Attributes;
use crate::onnx::proto::NodeProto;

/// The gradients with respect to a node's inputs, of those with respect to its outputs; `None` where no rule is known for the node as it is.
pub(super) fn products(tape: &mut Tape, node: &NodeProto, of: &[Option<String>]) -> Option<Products> {
    if !node.is_standard() {
        return None;
    }
    if node.op_type() == "Split" {
        return arrange::split(tape, node, of);
    }
    let dy = of.first()?.as_deref()?;
    if node.output.len() > 1 && of.iter().skip(1).any(Option::is_some) {
        return None;
    }
    match node.op_type() {
        "Conv" => conv::conv(tape, node, dy),
        "ConvTranspose" => conv::transposed(tape, node, dy),
        "Gemm" => matmul::gemm(tape, node, dy),
        "MatMul" => matmul::matmul(tape, node, dy),
        "BatchNormalization" => norm::batch_norm(tape, node, dy),
        "Add" | "Sub" | "Mul" | "Div" => pointwise::arithmetic(tape, node, dy),
        "Identity" | "Dropout" => Some(vec![(0, dy.to_owned())]),
        "Softmax" => norm::softmax(tape, node, dy),
        "MaxPool" => pool::max_pool(tape, node, dy),
        "AveragePool" => pool::average_pool(tape, node, dy),
        "GlobalAveragePool" | "ReduceMean" | "ReduceSum" => reduce::mean(tape, node, dy),
        "Resize" | "Upsample" => pool::nearest(tape, node, dy),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => arrange::reshape(tape, node, dy),
        "Transpose" => arrange::transpose(tape, node, dy),
        "Concat" => arrange::concat(tape, node, dy),
        "Pad" => arrange::pad(tape, node, dy),
        "QuantizeLinear" => quantize::quantize(tape, node, dy),
        "DequantizeLinear" => quantize::dequantize(tape, node, dy),
        "Gather" => picked::gather(tape, node, dy),
        "Slice" => slice::slice(tape, node, dy),
        _ => pointwise::function(tape, node, dy),
    }
}
