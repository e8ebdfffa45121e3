//! Operators that compute nothing: what becomes of the elements of their first input.

use crate::onnx::Attributes;
use crate::onnx::proto::NodeProto;

/// What an operator does with elements that it does not compute with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// The same elements in the same order, perhaps with other axes.
    View,
    /// The same elements in the same order, as another type.
    Conversion,
    /// The same elements in another order.
    Permutation,
    /// Quantized or dequantized; zero stays zero.
    Quantization,
}

impl Movement {
    /// What a node does; `None` where it computes something.
    pub fn of(node: &NodeProto) -> Option<Self> {
        Some(match node.op_type() {
            // ONNX Runtime's own know 16 bits in every version.
            "QuantizeLinear" | "DequantizeLinear" if node.domain() == "com.microsoft" => Self::Quantization,
            _ if !node.is_standard() => return None,
            "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" => Self::View,
            "Cast" => Self::Conversion,
            "Transpose" => Self::Permutation,
            "QuantizeLinear" | "DequantizeLinear" => Self::Quantization,
            _ => return None,
        })
    }
}
