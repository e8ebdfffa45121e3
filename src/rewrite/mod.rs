//! Applying a change of channels to a graph: weights are cut and padded, attributes follow,
//! everything else stays as it was. All or nothing: the original is never modified.

mod fold;
mod weights;

use std::collections::{BTreeMap, HashSet};

use crate::channels::{Analysis, ChannelChange, DependencyGraph, IndexRemaps, Patch, ValueId, find};
use crate::onnx::proto::{
    ModelProto, TensorProto, tensor_shape_proto::dimension::Value as Dim, type_proto::Value as Kind,
};
use crate::onnx::{Graph, captured_names};
use crate::plan::Fold;
use crate::{Error, Result};

/// The model with `change` applied, and the constants of removed channels added to biases.
///
/// # Errors
/// When a group would lose its last channel, or a weight cannot be read.
pub fn rewrite(
    model: &ModelProto,
    graph: &Graph,
    analysis: &Analysis,
    change: &ChannelChange,
    folds: &[Fold],
) -> Result<ModelProto> {
    let mut copy = model.clone();
    if change.removed.is_empty() && change.added.is_empty() {
        return Ok(copy);
    }
    check(analysis, change)?;
    let co = &analysis.dependencies;
    let remaps = IndexRemaps::new(co, &analysis.groups, change);
    let target = copy
        .graph
        .as_mut()
        .ok_or_else(|| Error::Model("the model has no graph".to_owned()))?;
    let mut added: Vec<TensorProto> = Vec::new();
    for (index, node) in target.node.iter_mut().enumerate() {
        let Some(patch) = find(node.domain(), node.op_type()).and_then(|s| s.patch) else {
            continue;
        };
        patch(&mut Patch {
            node,
            index,
            opset: analysis.opset,
            co,
            remaps: &remaps,
            graph,
            shape: &analysis.shape,
            added: &mut added,
        })?;
    }
    weights::edit_weights(target, graph, co, &remaps, change.split, &mut added)?;
    fold::fold_biases(target, graph, analysis, &remaps, folds, &mut added)?;
    target.initializer.extend(added);
    remove_unused(target, graph);
    update_value_info(target, co, &remaps);
    Ok(copy)
}

/// A locked class must stay, and every group must keep a channel.
fn check(analysis: &Analysis, change: &ChannelChange) -> Result<()> {
    for group in &analysis.groups {
        let touched = |c: &u32| change.removed.contains(c) || change.added.contains_key(c);
        if !group.classes.iter().any(touched) {
            continue;
        }
        if let Some(constraint) = &group.constraint {
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
    let gone = |name: &str| before.consumers.contains_key(name) && !used.contains(name);
    target.initializer.retain(|t| !gone(t.name()));
    target
        .node
        .retain(|n| n.op_type() != "Constant" || !n.output.iter().all(|o| gone(o)));
    let dropped: HashSet<&str> = before.initializers.keys().copied().filter(|n| gone(n)).collect();
    target.input.retain(|v| !dropped.contains(v.name()));
}

/// Puts new extents into the notes on inner values.
fn update_value_info(
    target: &mut crate::onnx::proto::GraphProto,
    co: &crate::channels::DependencyGraph,
    remaps: &IndexRemaps,
) {
    for info in &mut target.value_info {
        let Some(id) = co.by_name(info.name()) else {
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

/// Multiply-accumulates of the graph for one sample with `change` applied.
pub fn macs_after(graph: &Graph, analysis: &Analysis, change: &ChannelChange) -> u64 {
    let remaps = IndexRemaps::new(&analysis.dependencies, &analysis.groups, change);
    let dim = |id: ValueId, axis: usize| remaps.dim(&analysis.dependencies, id, axis);
    (0..graph.proto.node.len())
        .map(|n| crate::channels::node_macs(graph, &analysis.dependencies, n, &dim) / analysis.samples as u64)
        .sum()
}

/// What all nodes but convolutions make with `change` applied, over what they made before, in elements: a
/// measure of the work around the layers on a CPU. Activations and normalizations are part of the layers. A
/// concatenation whose parts are off the SIMD block counts two and a half times: its parts leave the blocked layout.
pub fn elements_ratio(graph: &Graph, analysis: &Analysis, change: &ChannelChange) -> f64 {
    let co = &analysis.dependencies;
    let remaps = IndexRemaps::new(co, &analysis.groups, change);
    let now = |id: ValueId, axis: usize| remaps.dim(co, id, axis);
    let before = elements(graph, co, &|id, axis| co.dims(id)[axis]);
    if before > 0.0 {
        elements(graph, co, &now) / before
    } else {
        1.0
    }
}

/// How the elements that [`elements_ratio`] counts spread over the groups whose widths they go with; under `None` what
/// no free group changes. A value with channels of several groups counts for each by its part.
pub fn element_shares(graph: &Graph, analysis: &Analysis) -> BTreeMap<Option<usize>, f64> {
    let co = &analysis.dependencies;
    let whole = elements(graph, co, &|id, axis| co.dims(id)[axis]);
    let mut shares = BTreeMap::new();
    let mut moved = 0.0;
    for group in analysis.groups.iter().filter(|g| g.constraint.is_none()) {
        let own: HashSet<u32> = group.classes.iter().copied().collect();
        let without = |id: ValueId, axis: usize| {
            (0..co.dims(id)[axis])
                .filter(|&i| !own.contains(&co.class(co.atom(id, axis, i))))
                .count()
        };
        let share = whole - elements(graph, co, &without);
        moved += share;
        shares.insert(Some(group.id), share);
    }
    shares.insert(None, (whole - moved).max(0.0));
    shares
}

/// Channels of a SIMD block, and how many times a concatenation costs that is off it (as measured on AVX-512).
const BLOCK: usize = 16;
const OFF_BLOCK: f64 = 2.5;

fn elements(graph: &Graph, co: &DependencyGraph, dim: &dyn Fn(ValueId, usize) -> usize) -> f64 {
    const IN_LAYERS: [&str; 10] = [
        "Conv",
        "ConvTranspose",
        "Relu",
        "LeakyRelu",
        "Clip",
        "Sigmoid",
        "Tanh",
        "BatchNormalization",
        "Dropout",
        "Identity",
    ];
    let mut sum = 0.0;
    for node in graph.proto.node.iter().filter(|n| !IN_LAYERS.contains(&n.op_type())) {
        let off = |name: &String| {
            co.by_name(name)
                .is_some_and(|id| co.dims(id).len() == 4 && !dim(id, 1).is_multiple_of(BLOCK))
        };
        let times = if node.op_type() == "Concat" && node.input.iter().any(off) {
            OFF_BLOCK
        } else {
            1.0
        };
        for id in node.output.iter().filter_map(|n| co.by_name(n)) {
            let rank = co.dims(id).len();
            sum += times * (0..rank).map(|axis| dim(id, axis) as f64).product::<f64>();
        }
    }
    sum
}

/// Elements of all floating-point weights.
pub fn parameters(model: &ModelProto) -> u64 {
    use crate::onnx::proto::tensor_proto::DataType;
    let graph = model.graph.iter();
    graph
        .flat_map(|g| {
            let constants = g.node.iter().filter(|n| n.op_type() == "Constant");
            let inline = constants.flat_map(|n| n.attribute.iter().filter_map(|a| a.t.as_ref()));
            g.initializer.iter().chain(inline)
        })
        .filter(|t| !matches!(t.data_type(), x if x == DataType::Int64 as i32))
        .map(|t| t.dims.iter().map(|&d| d.max(0) as u64).product::<u64>())
        .sum()
}
