//! What became of one group.

use crate::channels::Group;
use crate::onnx::label;
use crate::optimize::opened::Opened;
use crate::plan::Candidates;

/// One group, for the report.
#[derive(Clone, Debug)]
pub struct GroupRow {
    /// The group's number.
    pub id: usize,
    /// Names of the layers that make the width.
    pub layers: Vec<String>,
    /// Names of activations that have the width.
    pub tensors: Vec<String>,
    /// Width before.
    pub before: usize,
    /// Width after.
    pub after: usize,
    /// `grow`, `prune`, `keep` or `constraint`.
    pub action: &'static str,
    /// Why.
    pub reason: String,
    /// Predicted time of the layers concerned, before and after, in milliseconds.
    pub layers_ms: Option<(f64, f64)>,
}

/// A group that stays as it is, and why.
pub(super) fn group_row(opened: &Opened, group: &Group, candidates: &Candidates) -> GroupRow {
    let dependencies = &opened.analysis.dependencies;
    let nodes = opened.proto.graph.iter().flat_map(|g| &g.node).collect::<Vec<_>>();
    let name = |&n: &usize| label(nodes[n], n);
    let held_by = |node: Option<usize>| node.map_or(String::new(), |n| format!("{}: ", label(nodes[n], n)));
    let (action, reason) = match opened.constraint_of(group) {
        Some(constraint) => match (opened.can_grow(group), candidates.contains_key(&group.id)) {
            (true, true) => ("keep", "no other width was faster".to_owned()),
            (grows, _) => (
                if grows { "keep" } else { "constrained" },
                format!("{}{}", held_by(constraint.node), constraint.reason),
            ),
        },
        None => match (&group.no_growth, candidates.contains_key(&group.id)) {
            (_, true) => ("keep", "no other width was faster".to_owned()),
            (Some(constraint), _) => ("keep", format!("{}{}", held_by(constraint.node), constraint.reason)),
            _ if !opened.is_timed(group) => ("keep", "no timed layer has this width".to_owned()),
            _ => ("keep", "stands on a multiple of every block".to_owned()),
        },
    };
    let layers = if group.producers.is_empty() {
        &group.consumers
    } else {
        &group.producers
    };
    let width = group.width();
    GroupRow {
        id: group.id,
        layers: layers.iter().map(name).collect(),
        tensors: group
            .places
            .iter()
            .map(|(v, _)| dependencies.value(*v).name.clone())
            .collect(),
        before: width,
        after: width,
        action,
        reason,
        layers_ms: None,
    }
}
