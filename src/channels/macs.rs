//! Multiply-accumulates of a layer, for any widths.

use super::context::input_value;
use super::coupling::{Coupling, ValueId};
use crate::onnx::{Attributes, Graph};

/// Multiply-accumulates of node `index` with the extents that `extent` gives; 0 for other than
/// convolutions and products.
///
/// Convolution: output elements × weights per output channel. Transposed: input elements × weights
/// per input channel. Product: output elements × the common extent.
pub fn node_macs(graph: &Graph, co: &Coupling, index: usize, extent: &dyn Fn(ValueId, usize) -> usize) -> u64 {
    let node = &graph.proto.node[index];
    let elements = |id: ValueId| -> u64 { (0..co.dims(id).len()).map(|axis| extent(id, axis) as u64).product() };
    let per_first = |id: ValueId| -> u64 { (1..co.dims(id).len()).map(|axis| extent(id, axis) as u64).product() };
    let output = node.output.first().and_then(|n| co.by_name(n));
    let (Some(x), Some(w), Some(y)) = (input_value(co, node, index, 0), input_value(co, node, index, 1), output) else {
        return 0;
    };
    if [x, w, y].iter().any(|&v| co.value(v).dims.is_none()) {
        return 0;
    }
    let rank = co.dims(x).len();
    match node.op_type() {
        "Conv" => elements(y) * per_first(w),
        "ConvTranspose" => elements(x) * per_first(w),
        "Gemm" if rank == 2 => elements(y) * extent(x, if node.int("transA", 0) != 0 { 0 } else { 1 }) as u64,
        "MatMul" | "Einsum" if rank > 0 => elements(y) * extent(x, rank - 1) as u64,
        _ => 0,
    }
}
