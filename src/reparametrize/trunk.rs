//! Linear trunks: groups whose values are made, added and read by linear layers alone.

use std::collections::HashSet;

use crate::channels::{Analysis, Group};
use crate::onnx::{Dtype, Graph};
use crate::ops::{Dequantized, LinearOp, is_batch_norm};

/// A layer that makes values of a trunk.
#[derive(Clone, Debug)]
pub struct Producer {
    /// The layer.
    pub layer: LinearOp,
    /// The node of the BatchNormalization right behind it.
    pub norm: Option<usize>,
}

/// A group between linear layers.
#[derive(Clone, Debug)]
pub struct Trunk {
    /// The group's number.
    pub group: usize,
    /// Its channels.
    pub width: usize,
    /// The layers that make its values, in graph order.
    pub producers: Vec<Producer>,
    /// The layers that read them, in graph order.
    pub consumers: Vec<LinearOp>,
}

/// Operators of one input that do the same to every channel and are linear, so that they may stand anywhere in a trunk.
const ALIKE: [&str; 3] = ["Identity", "GlobalAveragePool", "AveragePool"];

/// The group as a trunk: every value of it holds its channels and nothing else, in one order; is made by a linear layer that mixes all
/// channels, by its BatchNormalization, or by the sum of two such values; and is read by such layers and sums alone. `None` otherwise:
/// where an activation or a product reads a value, it is an output of the graph or seen by a body, or weights are computed, quantized
/// or no float32.
pub fn trunk(graph: &Graph, analysis: &Analysis, group: &Group) -> Option<Trunk> {
    of_types(graph, analysis, group, &[Dtype::Float])
}

/// Whether nothing but the type of its weights, of floats that are no float32, keeps a group from being a trunk.
pub fn is_held_by_type(graph: &Graph, analysis: &Analysis, group: &Group) -> bool {
    let floats = [Dtype::Float, Dtype::Double, Dtype::Float16, Dtype::Bfloat16];
    trunk(graph, analysis, group).is_none() && of_types(graph, analysis, group, &floats).is_some()
}

/// A trunk whose weights are of these types.
fn of_types(graph: &Graph, analysis: &Analysis, group: &Group, types: &[Dtype]) -> Option<Trunk> {
    let mixing = |node: usize| mixing_of(graph, node, types);
    let width = group.classes.len();
    if group.constraint.is_some() || group.unit != 1 || width < 2 {
        return None;
    }
    let dependencies = &analysis.dependencies;
    let seen_outside = graph.seen_outside();
    let names: HashSet<&str> = group
        .places
        .iter()
        .map(|(v, _)| dependencies.value(*v).name.as_str())
        .collect();
    let mut found = Trunk {
        group: group.id,
        width,
        producers: Vec::new(),
        consumers: Vec::new(),
    };
    let mut producers = Vec::new();
    let mut consumers = HashSet::new();
    for &(value, axis) in &group.places {
        let name = dependencies.value(value).name.as_str();
        // A weight that is handed on by a node.
        if graph.stored(name).is_some() {
            continue;
        }
        if seen_outside.contains(name) || dependencies.classes_of(value, axis) != group.classes {
            return None;
        }
        let at = *graph.producer.get(name)?;
        let node = &graph.proto.node[at];
        let rank = dependencies.dims(value).len();
        match node.op_type() {
            "Add" if node.input.iter().all(|i| names.contains(i.as_str())) => {}
            "BatchNormalization" if names.contains(node.input.first()?.as_str()) => {}
            op if ALIKE.contains(&op) && names.contains(node.input.first()?.as_str()) => {}
            _ => {
                let layer = mixing(at)?;
                (layer.channel_axis(rank) == axis && layer.outputs == width).then_some(())?;
                producers.push((layer, name));
            }
        }
        for &reader in graph.consumers.get(name).map(Vec::as_slice).unwrap_or_default() {
            let node = &graph.proto.node[reader];
            let inside = node.output.iter().all(|o| names.contains(o.as_str()));
            match node.op_type() {
                "Add" if inside => {}
                op if ALIKE.contains(&op) && inside => {}
                "BatchNormalization" if inside && is_batch_norm(node) => {
                    // Only right behind a layer is it a part of it.
                    let behind = producers.iter().any(|(_, made)| *made == name);
                    (behind && graph.consumers.get(name)?.len() == 1).then_some(())?;
                }
                _ => {
                    let layer = mixing(reader)?;
                    let once = node.input.iter().filter(|i| *i == name).count() == 1 && layer.input == name;
                    (once && layer.channel_axis(rank) == axis && layer.inputs == width).then_some(())?;
                    consumers.insert(reader);
                }
            }
        }
    }
    for (layer, name) in producers {
        let behind = graph.consumers.get(name)?.first().copied();
        let norm = behind.filter(|&n| is_batch_norm(&graph.proto.node[n]));
        found.producers.push(Producer { layer, norm });
    }
    let mut consumers: Vec<usize> = consumers.into_iter().collect();
    consumers.sort_unstable();
    found.consumers = consumers.into_iter().filter_map(mixing).collect();
    found.producers.sort_by_key(|p| p.layer.node);
    (!found.producers.is_empty() && !found.consumers.is_empty()).then_some(found)
}

/// A layer of plain float32 weights that mixes all its input channels.
pub(super) fn mixing(graph: &Graph, node: usize) -> Option<LinearOp> {
    mixing_of(graph, node, &[Dtype::Float])
}

/// The same with weights of these types.
fn mixing_of(graph: &Graph, node: usize, types: &[Dtype]) -> Option<LinearOp> {
    let layer = LinearOp::of(graph, node)?;
    let inputs = &graph.proto.node[node].input;
    let plain = |name: &String| {
        let stored = graph.stored(name).is_some_and(|t| types.contains(&t.dtype));
        stored && Dequantized::of(graph, name).is_none()
    };
    let all = inputs.iter().skip(1).filter(|n| !n.is_empty()).all(plain);
    (layer.groups() == 1 && all).then_some(layer)
}

impl Trunk {
    /// The values that its layers read, each once, with the node that makes it.
    pub fn read<'t>(&'t self, graph: &Graph) -> Vec<(&'t str, usize)> {
        let mut found: Vec<(&str, usize)> = Vec::new();
        for layer in &self.consumers {
            let name = layer.input.as_str();
            if let Some(&at) = graph.producer.get(name).filter(|_| found.iter().all(|f| f.0 != name)) {
                found.push((name, at));
            }
        }
        found
    }
}
