//! What places for gates are recognized by.

use crate::channels::{Analysis, Operands, Reach, spec_of};
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

/// `x · f(x)` as the last of some nodes (swish; hard swish and mish as their parts): x, and the nodes of f, front to back, whose values nothing else reads.
pub(super) fn self_gated<'g>(graph: &Graph<'g>, product: usize) -> Option<(&'g str, Vec<usize>)> {
    let node = &graph.proto.node[product];
    let [a, b] = &node.input[..] else { return None };
    if node.op_type() != "Mul" {
        return None;
    }
    [(a, b), (b, a)].into_iter().find_map(|(x, factor)| {
        let (mut nodes, mut at) = (Vec::new(), factor);
        while at != x && nodes.len() < LONGEST {
            let index = *graph.producer.get(at.as_str()).filter(|_| is_alone(graph, at))?;
            let node = graph.proto.node.get(index).filter(|n| is_unary(n, graph))?;
            nodes.push(index);
            at = node.input.first()?;
        }
        nodes.reverse();
        (at == x && !nodes.is_empty()).then_some((x.as_str(), nodes))
    })
}

/// Nodes of one such function, at most.
const LONGEST: usize = 4;

/// Whether one node alone reads a value.
pub(super) fn is_alone(graph: &Graph, value: &str) -> bool {
    graph.consumers.get(value).is_some_and(|c| c.len() == 1) && !graph.is_seen_outside(value)
}

/// One input that is no constant, one output, and each element alone: an activation, or a sum, a difference, a product or a quotient with one number.
pub(super) fn is_unary(node: &NodeProto, graph: &Graph) -> bool {
    let spec = spec_of(node);
    let own = spec.is_some_and(|s| s.reach == Reach::Own);
    let one_number = |n: &String| graph.constant(n).is_some_and(|t| t.len() == 1 && t.dims.len() <= 4);
    let by_number = matches!(node.op_type(), "Add" | "Sub" | "Mul" | "Div")
        && spec.is_some_and(|s| s.operands == Operands::Broadcast)
        && node.input.len() == 2
        && node.input.iter().skip(1).all(one_number);
    let mut inputs = node.input.iter();
    let first = inputs.next().is_some_and(|n| graph.constant(n).is_none());
    let rest = inputs.all(|n| n.is_empty() || graph.constant(n).is_some());
    let outputs = node.output.iter().filter(|n| !n.is_empty()).count();
    (own || by_number) && first && rest && outputs == 1
}
