//! Applying a change of channels to a graph: weights are cut and padded, attributes follow,
//! everything else stays as it was. All or nothing: the original is never modified.

mod branches;
mod broadcasts;
mod fold;
mod weights;

use std::collections::HashSet;

use crate::channels::{Analysis, ChannelChange, IndexRemaps, Patch, gone_with, spec_of};
use crate::onnx::proto::{
    ModelProto, TensorProto, tensor_shape_proto::dimension::Value as Dim, type_proto::Value as Kind,
};
use crate::onnx::{Graph, captured_names};
use crate::plan::Fold;
use crate::{Error, Result};

/// The model with `change` applied, and the constants of removed channels added to biases.
///
/// # Errors
/// When a group would lose its last channel, a broadcast or a branch is to go that must stay, or a weight cannot be read.
pub fn rewrite(
    model: &ModelProto,
    graph: &Graph,
    analysis: &Analysis,
    change: &ChannelChange,
    folds: &[Fold],
) -> Result<ModelProto> {
    let mut copy = model.clone();
    if change.removed.is_empty()
        && change.added.is_empty()
        && change.broadcasts.is_empty()
        && change.branches.is_empty()
    {
        return Ok(copy);
    }
    check(analysis, change)?;
    let dependencies = &analysis.dependencies;
    let remaps = IndexRemaps::new(dependencies, &analysis.groups, change);
    let target = copy
        .graph
        .as_mut()
        .ok_or_else(|| Error::Model("the model has no graph".to_owned()))?;
    let mut gone = gone_with(graph, &change.broadcasts);
    gone.extend(branches::nodes(graph, analysis, &change.branches));
    let mut added: Vec<TensorProto> = Vec::new();
    for (index, node) in target.node.iter_mut().enumerate() {
        let Some(patch) = spec_of(node).and_then(|s| s.patch).filter(|_| !gone.contains(&index)) else {
            continue;
        };
        patch(&mut Patch {
            node,
            index,
            opset: analysis.opset,
            co: dependencies,
            remaps: &remaps,
            graph,
            shape: &analysis.shape,
            added: &mut added,
        })?;
    }
    weights::remap_weights(target, graph, dependencies, &remaps, change.split, &mut added)?;
    fold::fold_biases(target, graph, analysis, &remaps, folds, &mut added)?;
    branches::bypass(target, graph, analysis, &change.branches);
    broadcasts::remove(target, &change.broadcasts, &gone);
    target.initializer.extend(added);
    remove_unused(target, graph);
    update_value_info(target, dependencies, &remaps);
    Ok(copy)
}

/// A constrained channel must stay, new ones beside it be zeros at the end, and every group must keep a channel. Only broadcasts that
/// are written out and residual branches may go.
fn check(analysis: &Analysis, change: &ChannelChange) -> Result<()> {
    if let Some(node) = change.broadcasts.difference(&analysis.broadcasts).next() {
        return Err(Error::Plan(format!(
            "node {node} is no broadcast that the nodes behind it can do themselves"
        )));
    }
    if let Some(node) = change.branches.iter().find(|n| !analysis.branches.contains_key(n)) {
        return Err(Error::Plan(format!("node {node} is no addition of a residual branch")));
    }
    for group in &analysis.groups {
        let touched = |c: &u32| change.removed.contains(c) || change.added.contains_key(c);
        if !group.classes.iter().any(touched) {
            continue;
        }
        let removes = group.classes.iter().any(|c| change.removed.contains(c));
        let inside = group.classes.iter().rev().skip(1).any(|c| change.added.contains_key(c));
        let grows_at_end = group.can_grow() && !removes && !inside && change.split.is_none();
        if let Some(constraint) = group.constraint.as_ref().filter(|_| !grows_at_end) {
            return Err(Error::Plan(format!(
                "group {} cannot change: {}",
                group.id, constraint.reason
            )));
        }
        if group.classes.iter().all(|c| change.removed.contains(c)) {
            return Err(Error::Plan(format!("group {} would lose its last channel", group.id)));
        }
    }
    Ok(())
}

/// Constants that were used before the rewrite and are not any more.
fn remove_unused(target: &mut crate::onnx::proto::GraphProto, before: &Graph) {
    let mut used: HashSet<String> = target.output.iter().map(|o| o.name().to_owned()).collect();
    for node in &target.node {
        used.extend(node.input.iter().cloned());
        used.extend(captured_names(node));
    }
    let known = |name: &str| before.initializers.contains_key(name) || before.producer.contains_key(name);
    let gone = |name: &str| (before.consumers.contains_key(name) || !known(name)) && !used.contains(name);
    target.initializer.retain(|t| !gone(t.name()));
    target
        .node
        .retain(|n| n.op_type() != "Constant" || !n.output.iter().all(|o| gone(o)));
    let dropped: HashSet<&str> = before.initializers.keys().copied().filter(|n| gone(n)).collect();
    target.input.retain(|v| !dropped.contains(v.name()));
}

/// Puts new shapes into the notes on inner values.
fn update_value_info(
    target: &mut crate::onnx::proto::GraphProto,
    dependencies: &crate::channels::DependencyGraph,
    remaps: &IndexRemaps,
) {
    for info in &mut target.value_info {
        let Some(id) = dependencies.by_name(info.name()) else {
            continue;
        };
        let Some(Kind::TensorType(tensor)) = info.r#type.as_mut().and_then(|t| t.value.as_mut()) else {
            continue;
        };
        for (axis, dim) in tensor.shape.iter_mut().flat_map(|s| s.dim.iter_mut()).enumerate() {
            if let Some(edit) = remaps.get(id, axis) {
                dim.value = Some(Dim::DimValue(edit.len() as i64));
            }
        }
    }
}
