//! Growth behind the last channel: where an operator mixes neighbours, new channels change nothing of the others if they stand at
//! the end of its axis and are exactly zero there.

use std::collections::HashSet;

use super::dependency_graph::{Constraint, DependencyGraph, EndMark, ValueId, input_value};
use super::groups::{Group, NewChannels};
use super::ops::{AtZero, spec_of};
use super::zeros::{ZeroInput, axes_with};
use crate::onnx::{Graph, label};

/// Settles which of the groups with a mark may grow at their end, and says so in their constraint.
pub(super) fn settle_end_growth(graph: &Graph, co: &DependencyGraph, groups: &mut [Group]) {
    for group in groups.iter_mut().filter(|g| g.new_channels == NewChannels::AtEnd) {
        if group.no_growth.is_none() {
            group.no_growth = refusal(graph, co, group);
        }
        let grows = group.can_grow();
        let Some(constraint) = &mut group.constraint else {
            continue;
        };
        match &group.no_growth {
            _ if grows => constraint.reason.push_str("; new channels may stand at the end"),
            Some(why) => {
                constraint.reason = format!("{}; {}", constraint.reason, why.reason);
                group.new_channels = NewChannels::Nowhere;
            }
            None => group.new_channels = NewChannels::Nowhere,
        }
    }
}

/// Why new channels would change what is made of the old ones; `None` where they do not.
fn refusal(graph: &Graph, co: &DependencyGraph, group: &Group) -> Option<Constraint> {
    let channels: HashSet<u32> = group.classes.iter().copied().collect();
    let concerns = |m: &&EndMark| axes_with(co, &channels, m.value).contains(&m.axis);
    let marks: Vec<&EndMark> = co.end_marks.iter().filter(concerns).collect();
    let zero = zero_values(graph, co, &channels);
    let refused = |mark: &EndMark, reason: String| Constraint {
        node: Some(mark.node),
        reason,
        silent: false,
    };
    let unproven = marks.into_iter().find_map(|mark| {
        if co.value(mark.value).dynamic.contains(&mark.axis) {
            return Some(refused(mark, "the axis holds the channels of every sample".to_owned()));
        }
        let axis = co.classes_of(mark.value, mark.axis);
        let last = group.classes.last();
        if !mark.anywhere && (axis.last() != last || axis.iter().filter(|c| Some(*c) == last).count() != 1) {
            return Some(refused(mark, "new channels would not stand at the end".to_owned()));
        }
        if zero.contains(&mark.value) {
            return None;
        }
        let name = &co.value(mark.value).name;
        let behind = graph.producer.get(name.as_str());
        let behind = behind.map_or(String::new(), |&n| {
            let node = &graph.proto.node[n];
            format!(" behind {} {}", node.op_type(), label(node, n))
        });
        Some(refused(mark, format!("new channels would not be zero{behind}")))
    });
    unproven.or_else(|| undefined(graph, co, &channels, &zero))
}

/// Behind an operator that mixes neighbours new channels hold some numbers. An operator that is not finite for all of them could make
/// NaN of some, which no zero weight takes away.
fn undefined(
    graph: &Graph,
    co: &DependencyGraph,
    channels: &HashSet<u32>,
    zero: &HashSet<ValueId>,
) -> Option<Constraint> {
    (graph.proto.node.iter().enumerate()).find_map(|(index, node)| {
        spec_of(node).filter(|s| s.at_zero == AtZero::FiniteThere)?;
        let some = |i| {
            let input = input_value(co, node, index, i).filter(|id| !zero.contains(id));
            input.is_some_and(|id| !axes_with(co, channels, id).is_empty())
        };
        (0..node.input.len()).any(some).then(|| Constraint {
            node: Some(index),
            reason: format!("{} may have no finite value at new channels", node.op_type()),
            silent: false,
        })
    })
}
/// The activations that are zero at new channels of a group, as far as the operators' rules tell.
fn zero_values(graph: &Graph, co: &DependencyGraph, group: &HashSet<u32>) -> HashSet<ValueId> {
    let mut zero = HashSet::new();
    for (index, node) in graph.proto.node.iter().enumerate() {
        let Some(output) = node.output.first().and_then(|n| co.by_name(n)) else {
            continue;
        };
        let axes = axes_with(co, group, output);
        let Some(spec) = spec_of(node).filter(|_| !axes.is_empty()) else {
            continue;
        };
        let input = ZeroInput {
            node,
            index,
            dependencies: co,
            group,
            zero: &zero,
            axes: &axes,
            rank: co.dims(output).len(),
        };
        if spec.keeps_zero(graph, &input) {
            zero.insert(output);
        }
    }
    zero
}
