//! Which layers stand behind a change.

use std::collections::HashSet;

use super::change::Change;
use super::gone::Gone;
use crate::channels::input_value;
use crate::onnx::proto::NodeProto;
use crate::onnx::{Graph, captured_names};

/// Nodes whose input differs from the original's: in its shape, or in its values because a channel or a branch before it went.
///
/// Where no channel and no branch went, `rewritten` has masks: a node that reads another value than in the original stands behind one.
pub(super) fn layers(change: Change, rewritten: &Graph, gone: &Gone) -> HashSet<usize> {
    let masked = change.remaps.is_empty() && gone.is_empty();
    let dependencies = &change.analysis.dependencies;
    let mut other: HashSet<&str> = gone.sums();
    let mut found = HashSet::new();
    for (index, node) in change.graph.proto.node.iter().enumerate() {
        let edited = |i: usize| {
            input_value(dependencies, node, index, i).is_some_and(|v| change.remaps.touches(dependencies, v))
        };
        // A layer that only makes fewer channels makes the rest as before.
        let reads = (0..node.input.len()).any(|i| dependencies.by_name(&node.input[i]).is_some() && edited(i))
            || node.input.iter().any(|n| other.contains(n.as_str()))
            || captured_names(node).iter().any(|n| other.contains(n.as_str()))
            || (masked && reads_other(node, rewritten));
        if reads {
            found.insert(index);
            other.extend(node.output.iter().map(String::as_str));
        }
    }
    found
}

/// Whether the node that makes the same value in the other graph reads another one in front.
fn reads_other(node: &NodeProto, rewritten: &Graph) -> bool {
    let made = node.output.first().and_then(|o| rewritten.producer.get(o.as_str()));
    let there = made.and_then(|&i| rewritten.proto.node.get(i));
    there.is_some_and(|t| t.op_type() != node.op_type() || t.input.first() != node.input.first())
}
