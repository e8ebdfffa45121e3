//! Channels whose value is one known number everywhere, followed through the graph.

use std::collections::HashMap;

use crate::channels::constant_channels::{FoldingInput, Levels};
use crate::channels::{Analysis, spec_of};
use crate::onnx::Graph;

/// Known levels by value name.
pub(super) fn constant_levels(graph: &Graph, analysis: &Analysis) -> HashMap<String, Levels> {
    let mut known: HashMap<String, Levels> = HashMap::new();
    let dependencies = &analysis.dependencies;
    let dims = |name: Option<&String>| {
        name.and_then(|n| dependencies.by_name(n))
            .map(|id| dependencies.dims(id))
    };
    for node in &graph.proto.node {
        let Some(output) = node.output.first() else {
            continue;
        };
        let (Some(input_dims), Some(output_dims)) = (dims(node.input.first()), dims(Some(output))) else {
            continue;
        };
        if input_dims.len() < 2 || output_dims.len() < 2 {
            continue;
        }
        let input = FoldingInput {
            graph,
            node,
            known: &known,
            input_dims,
            output_dims,
        };
        let level = spec_of(node).and_then(|spec| spec.levels_of(&input));
        if let Some(level) = level.filter(|l| l.len() == output_dims[1] && l.iter().any(Option::is_some)) {
            known.insert(output.clone(), level);
        }
    }
    known
}
