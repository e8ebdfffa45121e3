//! Which layers stand behind a change.

use std::collections::HashSet;

use super::change::Change;
use super::gone::Gone;
use crate::channels::input_value;
use crate::onnx::captured_names;

/// Nodes whose input differs from the original's: in its shape, or in its values because a channel or a branch before it went.
pub(super) fn layers(change: Change, gone: &Gone) -> HashSet<usize> {
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
            || captured_names(node).iter().any(|n| other.contains(n.as_str()));
        if reads {
            found.insert(index);
            other.extend(node.output.iter().map(String::as_str));
        }
    }
    found
}
