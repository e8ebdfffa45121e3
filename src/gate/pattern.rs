//! What places for gates are recognized by.

use crate::channels::{Analysis, Reach, spec_of};
use crate::onnx::Graph;
use crate::onnx::proto::NodeProto;

/// Why a place that looks like a block cannot be gated.
pub type Reason = String;

/// Rows and columns of a map.
pub(super) fn rows_and_columns(analysis: &Analysis, name: &str) -> Result<[usize; 2], Reason> {
    let dependencies = &analysis.dependencies;
    let id = dependencies.by_name(name).ok_or("its shape is not known")?;
    match dependencies.dims(id) {
        [_, _, h, w] if !dependencies.value(id).dynamic.iter().any(|&a| a > 1) => Ok([*h, *w]),
        [_, _, _, _] => Err("its height or width is open; fix it in the file".to_owned()),
        _ => Err("it is no map of rows and columns".to_owned()),
    }
}

/// The first extent of a value, where the file fixes it.
pub(super) fn fixed_batch(analysis: &Analysis, name: &str) -> Option<usize> {
    let id = analysis.dependencies.by_name(name)?;
    let open = analysis.dependencies.value(id).dynamic.contains(&0);
    analysis.dependencies.dims(id).first().copied().filter(|_| !open)
}

/// `x · sigmoid(x)` as two nodes: x, and the index of the sigmoid.
pub(super) fn swish<'g>(graph: &Graph<'g>, mul: usize) -> Option<(&'g str, usize)> {
    let node = &graph.proto.node[mul];
    let [a, b] = &node.input[..] else { return None };
    if node.op_type() != "Mul" {
        return None;
    }
    for (x, gate) in [(a, b), (b, a)] {
        let at = *graph.producer.get(gate.as_str())?;
        let sigmoid = &graph.proto.node[at];
        let only = graph.consumers.get(gate.as_str()).is_some_and(|c| c.len() == 1) && !graph.is_seen_outside(gate);
        if matches!(sigmoid.op_type(), "Sigmoid" | "HardSigmoid") && sigmoid.input.first() == Some(x) && only {
            return Some((x, at));
        }
    }
    None
}

/// One input that is no constant, one output, and each element alone.
pub(super) fn is_unary(node: &NodeProto, graph: &Graph) -> bool {
    let known = spec_of(node).is_some_and(|s| s.reach == Reach::Own);
    let rest = node
        .input
        .iter()
        .skip(1)
        .all(|n| n.is_empty() || graph.constant(n).is_some());
    let outputs = node.output.iter().filter(|n| !n.is_empty()).count();
    known && rest && outputs == 1
}
