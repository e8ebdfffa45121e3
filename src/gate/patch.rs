//! A graph with gates in the place of some of its blocks.

use std::collections::{HashMap, HashSet};

use super::emit::emitted;
use super::spec::{Gate, GateForm};
use crate::onnx::Graph;
use crate::onnx::proto::{
    ModelProto, OperatorSetIdProto, ValueInfoProto,
    tensor_shape_proto::{Dimension, dimension::Value as Dim},
    type_proto::Value as Kind,
};
use crate::{Error, Result};

/// The model with gates, in graph order. Weights that nothing reads any more go. Where attention chooses channels
/// the batch becomes one sample, whatever it was.
///
/// # Errors
/// When a weight cannot be read.
pub fn gated(model: &ModelProto, graph: &Graph, gates: &[&Gate], form: GateForm) -> Result<ModelProto> {
    let opset = model.opset_import.iter().find(|o| o.domain().is_empty());
    let opset = opset.map_or(0, |o| o.version());
    let mut at: HashMap<usize, &Gate> = HashMap::new();
    let mut gone: HashSet<usize> = HashSet::new();
    for gate in gates {
        at.insert(gate.block.last(), gate);
        gone.extend(gate.block.nodes());
    }
    let mut nodes = Vec::new();
    let mut constants = Vec::new();
    let mut shared: HashSet<String> = HashSet::new();
    for (index, node) in graph.proto.node.iter().enumerate() {
        if let Some(gate) = at.get(&index) {
            let made = emitted(graph, gate, form, opset, &format!("snapprune/gate{index}"))?;
            for node in made.nodes {
                // Sample numbers are made once, whichever gate needs them first.
                if node.output.iter().all(|o| shared.insert(o.clone())) {
                    nodes.push(node);
                }
            }
            constants.extend(made.constants);
        } else if !gone.contains(&index) {
            nodes.push(node.clone());
        }
    }
    let mut out = model.clone();
    let Some(body) = out.graph.as_mut() else {
        return Err(Error::Model("the model has no graph".to_owned()));
    };
    body.node = nodes;
    body.initializer.extend(constants);
    // Notes on values inside may name what is no longer there.
    body.value_info.clear();
    drop_unread(body);
    if gates.iter().any(|g| g.takes_one_sample()) && form != GateForm::Masked {
        one_sample(body);
    }
    let ours = |n: &crate::onnx::proto::NodeProto| n.domain() == crate::fused::DOMAIN;
    if body.node.iter().any(ours) && !out.opset_import.iter().any(|o| o.domain() == crate::fused::DOMAIN) {
        out.opset_import.push(OperatorSetIdProto {
            domain: Some(crate::fused::DOMAIN.to_owned()),
            version: Some(1),
        });
    }
    Ok(out)
}

/// Drops nodes whose values nothing reads, and constants likewise.
pub(crate) fn drop_unread(graph: &mut crate::onnx::proto::GraphProto) {
    let outputs: HashSet<String> = graph.output.iter().map(|o| o.name().to_owned()).collect();
    let mut read = outputs;
    let mut kept = Vec::new();
    for node in graph.node.drain(..).rev() {
        if node.output.iter().any(|o| read.contains(o)) {
            read.extend(node.input.iter().cloned());
            read.extend(crate::onnx::captured_names(&node));
            kept.push(node);
        }
    }
    kept.reverse();
    graph.node = kept;
    let inputs: HashSet<String> = graph.input.iter().map(|i| i.name().to_owned()).collect();
    graph
        .initializer
        .retain(|t| read.contains(t.name()) || inputs.contains(t.name()));
}

/// Sets the first extent of the real inputs to one, and extents of the same symbol wherever they are.
fn one_sample(graph: &mut crate::onnx::proto::GraphProto) {
    let weights: HashSet<String> = graph.initializer.iter().map(|t| t.name().to_owned()).collect();
    let mut symbols: HashSet<String> = HashSet::new();
    let (inputs, outputs) = (&mut graph.input, &mut graph.output);
    for value in inputs.iter_mut().filter(|i| !weights.contains(i.name())) {
        let first = shape(value).and_then(|d| d.first_mut());
        if let Some(Dim::DimParam(symbol)) = first.and_then(|f| f.value.replace(Dim::DimValue(1))) {
            symbols.insert(symbol);
        }
    }
    for dim in outputs.iter_mut().filter_map(shape).flatten() {
        if matches!(&dim.value, Some(Dim::DimParam(symbol)) if symbols.contains(symbol)) {
            dim.value = Some(Dim::DimValue(1));
        }
    }
}

fn shape(value: &mut ValueInfoProto) -> Option<&mut Vec<Dimension>> {
    match value.r#type.as_mut()?.value.as_mut()? {
        Kind::TensorType(tensor) => tensor.shape.as_mut().map(|s| &mut s.dim),
        _ => None,
    }
}
