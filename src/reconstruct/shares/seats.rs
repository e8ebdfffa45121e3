//! Which values of a model's outputs are shares of what a layer makes.
//!
//! Between the layer and the activation, and from there to the outputs, values only move (a constant may be added to them). Whether they do, and where
//! to, is seen: numbers that name their places go through these nodes, twice and in another order, and what still names one is that place's.

use std::collections::{BTreeMap, BTreeSet};

use super::moved::{Code, Named, moved, with_outputs};
use crate::Result;
use crate::device::{Device, NamedTensor};
use crate::onnx::proto::{ModelProto, NodeProto};
use crate::onnx::{Attributes, Dtype, Graph, Tensor, captured_names, encode, standard_opset};
use crate::ops::{Form, LinearOp, LinearSpec};
use crate::score::places_of;

/// A layer whose outputs become shares.
#[derive(Clone, Debug)]
pub(super) struct Seated {
    pub layer: LinearOp,
    /// For each value that it makes in a run, the value of a model's output that is its share.
    pub seats: Vec<Option<Seat>>,
    /// Its outputs that become shares, those of one softmax together.
    pub groups: Vec<Vec<usize>>,
    /// What is added to each of its outputs behind it.
    pub added: Vec<f32>,
    /// The shape of what it makes in a run.
    pub dims: Vec<usize>,
}

/// A value of an output.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seat {
    /// Which output.
    pub output: usize,
    /// Which of its values.
    pub at: usize,
}

/// Numbers above are no longer told apart in float32.
const MOST: usize = 1 << 23;

/// An activation that ends a model: what lies in front of it, up to layers, and behind it, up to outputs.
struct End<'g> {
    node: usize,
    opset: i64,
    input: &'g str,
    output: &'g str,
    layers: Vec<LinearOp>,
    /// Outputs that it leads to.
    reached: Vec<&'g str>,
    /// Values that nodes behind it read and that others make.
    beside: Vec<String>,
}

/// The layers of a model whose outputs become shares, for runs that are like `inputs`.
///
/// # Errors
/// When a run fails.
pub(super) fn seated(device: &dyn Device, model: &ModelProto, inputs: &[NamedTensor]) -> Result<Vec<Seated>> {
    let graph = Graph::of(model)?;
    let ends: Vec<End> = (0..graph.proto.node.len())
        .filter_map(|n| End::of(&graph, n, standard_opset(model)))
        .collect();
    let mut names: BTreeSet<String> = BTreeSet::new();
    for end in &ends {
        names.extend([end.input, end.output].map(str::to_owned));
        names.extend(end.layers.iter().map(|l| l.output.clone()));
        names.extend(end.beside.iter().cloned());
    }
    if ends.is_empty() {
        return Ok(Vec::new());
    }
    let made = device.outputs(&encode(&with_outputs(model, names.iter())), inputs)?;
    let values: BTreeMap<&str, &Tensor> = made.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let mut found: Vec<Seated> = Vec::new();
    for end in &ends {
        for one in end.seated(device, model, &graph, &values)? {
            if !found.iter().any(|f| f.layer.output == one.layer.output) {
                found.push(one);
            }
        }
    }
    Ok(found)
}

impl<'g> End<'g> {
    fn of(graph: &Graph<'g>, index: usize, opset: i64) -> Option<Self> {
        let node = graph.proto.node.get(index)?;
        if !node.is_standard() || !matches!(node.op_type(), "Sigmoid" | "Softmax") {
            return None;
        }
        let (input, output) = (node.input.first()?.as_str(), node.output.first()?.as_str());
        let behind = behind(graph, output)?;
        let given_out: Vec<&str> = graph.proto.output.iter().map(|o| o.name()).collect();
        let nodes = || behind.iter().filter_map(|&n| graph.proto.node.get(n));
        let made: BTreeSet<&str> = nodes().flat_map(|n| &n.output).map(String::as_str).collect();
        let own = |name: &&str| *name == output || made.contains(name);
        let reached: Vec<&str> = given_out.into_iter().filter(own).collect();
        let is_constant = |name: &str| graph.initializers.contains_key(name) || graph.constant(name).is_some();
        let beside: BTreeSet<&String> = nodes()
            .flat_map(|n| &n.input)
            .filter(|n| !n.is_empty() && !own(&n.as_str()) && !is_constant(n))
            .collect();
        let layers = layers_before(graph, input)?;
        (!reached.is_empty()).then(|| Self {
            node: index,
            opset,
            input,
            output,
            layers,
            reached,
            beside: beside.into_iter().cloned().collect(),
        })
    }

    /// Its layers with their seats.
    fn seated(
        &self,
        device: &dyn Device,
        model: &ModelProto,
        graph: &Graph,
        values: &BTreeMap<&str, &Tensor>,
    ) -> Result<Vec<Seated>> {
        let none = Ok(Vec::new());
        let dims = |name: &str| {
            values
                .get(name)
                .filter(|t| t.dtype == Dtype::Float)
                .map(|t| t.dims.clone())
        };
        let (Some(before), Some(after)) = (dims(self.input), dims(self.output)) else {
            return none;
        };
        let made: Option<Vec<Vec<usize>>> = self.layers.iter().map(|l| dims(&l.output)).collect();
        let Some(made) = made else { return none };
        let sizes: Vec<usize> = made.iter().map(|d| d.iter().product()).collect();
        let (total, shares) = (sizes.iter().sum::<usize>(), after.iter().product::<usize>());
        if total >= MOST || shares >= MOST {
            return none;
        }
        // From what the layers make to what the activation reads.
        let named = |coded: Code| -> Vec<NamedTensor> {
            let mut from = 0;
            let mut all = Vec::new();
            for ((layer, dims), size) in self.layers.iter().zip(&made).zip(&sizes) {
                let codes: Vec<f32> = (from..from + size).map(coded).collect();
                all.push((layer.output.clone(), Tensor::from_f32(dims.clone(), &codes)));
                from += size;
            }
            all
        };
        let Some(sources) = moved(device, model, graph, total, &named, &[self.input])? else {
            return none;
        };
        let sources = sources.into_iter().next().unwrap_or_default();
        // From the shares to the outputs.
        let beside: Option<Vec<NamedTensor>> = self
            .beside
            .iter()
            .map(|n| Some((n.clone(), (*values.get(n.as_str())?).clone())))
            .collect();
        let Some(beside) = beside else { return none };
        let coded = |code: Code| -> Vec<NamedTensor> {
            let codes: Vec<f32> = (0..shares).map(code).collect();
            let own = (self.output.to_owned(), Tensor::from_f32(after.clone(), &codes));
            std::iter::once(own).chain(beside.iter().cloned()).collect()
        };
        let Some(targets) = moved(device, model, graph, shares, &coded, &self.reached)? else {
            return none;
        };
        let mut seats: Vec<Option<Seat>> = vec![None; shares];
        for (name, values) in self.reached.iter().zip(&targets) {
            let output = graph.proto.output.iter().position(|o| o.name() == *name);
            let Some(output) = output else { continue };
            for (at, share) in values.iter().enumerate() {
                let plain = share.filter(|(_, added)| *added == 0.0).map(|(s, _)| s);
                if let Some(seat) = plain.and_then(|s| seats.get_mut(s)).filter(|s| s.is_none()) {
                    *seat = Some(Seat { output, at });
                }
            }
        }
        Ok(self.of_layers(graph, &before, (&made, &sizes), &sources, &seats))
    }

    /// `sources`: for each value that the activation reads, the value of the layers that it is; `seats`: where its share is given out.
    fn of_layers(
        &self,
        graph: &Graph,
        before: &[usize],
        (made, sizes): (&[Vec<usize>], &[usize]),
        sources: &[Option<Named>],
        seats: &[Option<Seat>],
    ) -> Vec<Seated> {
        let mut own: Vec<Option<Named>> = vec![None; sizes.iter().sum()];
        for (at, source) in sources.iter().enumerate() {
            let Some((source, added)) = *source else { continue };
            let Some(into) = own.get_mut(source) else { continue };
            if into.replace((at, added)).is_some() {
                // One value in several places.
                return Vec::new();
            }
        }
        let Some(node) = graph.proto.node.get(self.node) else {
            return Vec::new();
        };
        let softmax = match node.op_type() {
            "Softmax" => match softmax_axis(node, self.opset, before) {
                Some(axis) => Some(axis),
                None => return Vec::new(),
            },
            _ => None,
        };
        let set = |at: usize| softmax_set(softmax, before, at);
        let mut found = Vec::new();
        let mut from = 0;
        for ((layer, dims), &size) in self.layers.iter().zip(made).zip(sizes) {
            let reads = own.get(from..from + size).unwrap_or_default();
            from += size;
            let seats: Vec<Option<Seat>> = reads
                .iter()
                .map(|at| at.and_then(|(at, _)| seats.get(at)?.clone()))
                .collect();
            // Sets of a softmax, channel by channel, alike at all places.
            let place = |o: usize, place: usize| index(layer, dims, o, place);
            let (blocks, each) = places_of(layer, dims);
            let mut groups: Option<Vec<Vec<usize>>> = None;
            let mut alike = layer.groups() == 1;
            let mut added: Vec<Option<f32>> = vec![None; layer.outputs];
            for p in 0..blocks * each {
                let mut sets: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
                for o in 0..layer.outputs {
                    let at = place(o, p);
                    let read = reads.get(at).copied().flatten();
                    if let Some((read, more)) = read.filter(|_| seats.get(at).is_some_and(Option::is_some)) {
                        sets.entry(set(read)).or_default().push(o);
                        let one = added.get_mut(o).map(|a| *a.get_or_insert(more));
                        alike &= one == Some(more);
                    }
                }
                let own: Vec<Vec<usize>> = sets.into_values().collect();
                alike &= groups.as_ref().is_none_or(|g| *g == own);
                groups.get_or_insert(own);
                if !alike {
                    break;
                }
            }
            let groups = groups.filter(|_| alike).unwrap_or_default();
            // A softmax of which something is elsewhere is not told from here.
            let size = softmax.and_then(|axis| before.get(axis).copied());
            let whole = groups.iter().all(|g| size.is_none_or(|s| s == g.len()));
            let added: Vec<f32> = added.into_iter().map(Option::unwrap_or_default).collect();
            let fits = layer.takes_bias || added.iter().all(|a| *a == 0.0);
            if whole && fits && !groups.is_empty() {
                found.push(Seated {
                    layer: layer.clone(),
                    seats,
                    groups,
                    added,
                    dims: dims.clone(),
                });
            }
        }
        found
    }
}

/// Where a value that a layer makes stands: of output `o` at a place, counted over blocks.
pub(super) fn index(layer: &LinearOp, dims: &[usize], o: usize, place: usize) -> usize {
    let (_, each) = places_of(layer, dims);
    match layer.form {
        Form::Conv(_) => (place / each.max(1) * layer.outputs + o) * each + place % each.max(1),
        _ => place * layer.outputs + o,
    }
}

/// The axis of a softmax; `None` where it takes several, as those of earlier versions do in front of the last one.
fn softmax_axis(node: &NodeProto, opset: i64, dims: &[usize]) -> Option<usize> {
    let rank = dims.len() as i64;
    let axis = node.int("axis", if opset >= 13 { -1 } else { 1 });
    let axis = if axis < 0 { axis + rank } else { axis };
    let found = usize::try_from(axis).ok().filter(|&a| a < dims.len());
    found.filter(|_| opset >= 13 || axis == rank - 1)
}

/// Values with the same number are of one softmax; each of a sigmoid has its own.
fn softmax_set(axis: Option<usize>, dims: &[usize], at: usize) -> usize {
    let Some(axis) = axis else { return at };
    let inner: usize = dims.iter().skip(axis + 1).product();
    let size = dims.get(axis).copied().unwrap_or(1);
    at / (inner * size).max(1) * inner + at % inner.max(1)
}

/// The nodes behind a value; `None` where one of them makes something by weights or holds a body.
fn behind(graph: &Graph, name: &str) -> Option<BTreeSet<usize>> {
    let (mut found, mut names) = (BTreeSet::new(), vec![name]);
    while let Some(name) = names.pop() {
        for &reader in graph.consumers.get(name).into_iter().flatten() {
            let node = graph.proto.node.get(reader)?;
            if LinearSpec::kind_of(node).is_some() || !captured_names(node).is_empty() || !node.is_standard() {
                return None;
            }
            if found.insert(reader) {
                names.extend(node.output.iter().map(String::as_str));
            }
        }
    }
    Some(found)
}

/// The layers that a value is made of; `None` where it is also made of something else.
fn layers_before(graph: &Graph, name: &str) -> Option<Vec<LinearOp>> {
    let (mut found, mut seen, mut names) = (BTreeMap::new(), BTreeSet::new(), vec![name]);
    while let Some(name) = names.pop() {
        if name.is_empty() || graph.initializers.contains_key(name) || !seen.insert(name) {
            continue;
        }
        let &at = graph.producer.get(name)?;
        let node = graph.proto.node.get(at)?;
        match LinearOp::of(graph, at) {
            Some(layer) => {
                found.insert(at, layer);
            }
            None if LinearSpec::kind_of(node).is_some() || !node.is_standard() => return None,
            None => names.extend(node.input.iter().map(String::as_str)),
        }
    }
    (!found.is_empty()).then(|| found.into_values().collect())
}
