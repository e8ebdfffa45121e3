//! Quantized convolutions that ONNX Runtime computes in floats all the same.

use super::quantized::{QuantizedForm, quantized};
use crate::onnx::Graph;
use crate::onnx::proto::NodeProto;

/// Why a convolution between `DequantizeLinear` and `QuantizeLinear` is not computed in integers on a processor; `None` where nothing
/// stands against it, or where it is no such layer. ONNX Runtime fuses one into an integer kernel whose input is dequantized and whose
/// output nothing but one quantizer reads, with activations of 8 bits.
pub(super) fn in_floats(graph: &Graph, node: &NodeProto) -> Option<&'static str> {
    if node.op_type() != "Conv" {
        return None;
    }
    let layer = quantized(graph, node)?;
    if layer.quantized.form != QuantizedForm::Qdq {
        return None;
    }
    let bits = |kind: &str| kind.trim_start_matches(['i', 'u']).parse::<u32>().unwrap_or(32);
    if layer.input == "f32" {
        return Some("its input is not quantized");
    }
    let Some(output) = layer.quantized.output else {
        return Some("its output is not quantized, or something else reads it too");
    };
    if bits(&layer.input) != 8 || bits(&output) != 8 {
        return Some("its activations are not of 8 bits");
    }
    let forks = layer.quantized.forks;
    match (layer.input == "i8" && forks.input, output == "i8" && forks.output) {
        (true, _) => Some("several nodes read its int8 input, on x86"),
        (_, true) => Some("several nodes read its int8 output, on x86"),
        _ => None,
    }
}
