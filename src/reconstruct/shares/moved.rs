//! Parts of a graph that only move values: seen by numbers that name their places.

use std::collections::BTreeSet;

use crate::device::{Device, NamedTensor};
use crate::onnx::proto::{
    GraphProto, ModelProto, TensorShapeProto, TypeProto, ValueInfoProto, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension::Value as Dim, type_proto, type_proto::Value as Kind,
};
use crate::onnx::{Graph, Tensor, encode, named_value};
use crate::{Error, Result};

/// The number that names a value.
pub(super) type Code<'c> = &'c dyn Fn(usize) -> f32;
/// Which value it is, and what is added.
pub(super) type Named = (usize, f32);

/// For each value of some others, which of `count` values it is, if it is one of them, and what is added to that; `None` where they cannot be run alone.
pub(super) fn moved(
    device: &dyn Device,
    model: &ModelProto,
    graph: &Graph,
    count: usize,
    given: &dyn Fn(Code) -> Vec<NamedTensor>,
    wanted: &[&str],
) -> Result<Option<Vec<Vec<Option<Named>>>>> {
    // Signs tell apart what an activation changes; no code is 0, and none is the same in both runs.
    let code = |k: usize| {
        if k.is_multiple_of(2) {
            k as f32 + 1.0
        } else {
            -(k as f32) - 1.0
        }
    };
    let other = |k: usize| -code((k + 1) % count.max(1));
    let mut runs: Vec<Vec<Vec<f32>>> = Vec::new();
    for coded in [&code as Code, &other, &|_| 0.0] {
        let inputs = given(coded);
        let part = part(model, graph, &inputs, wanted);
        let made = match part.graph.as_ref().is_some_and(|g| g.node.is_empty()) {
            true => Vec::new(),
            false => match device.outputs(&encode(&part), &inputs) {
                Ok(made) => made,
                // What does not stand alone is nothing that only moves.
                Err(Error::Session(_)) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let value = |name: &&str| made.iter().chain(&inputs).find(|(n, _)| n == name)?.1.to_f32();
        let Some(values) = wanted.iter().map(value).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        runs.push(values);
    }
    let [first, second, none] = runs.as_slice() else {
        return Ok(None);
    };
    let near = |a: f32, b: f32| (a - b).abs() < 0.25;
    let of = |((a, b), added): ((&f32, &f32), &f32)| {
        let named = (a - added).round();
        let k = (named.abs() - 1.0).max(0.0) as usize;
        (k < count && near(code(k), a - added) && near(other(k), b - added)).then_some((k, *added))
    };
    let all = first.iter().zip(second).zip(none);
    Ok(Some(
        all.map(|((a, b), added)| a.iter().zip(b).zip(added).map(of).collect())
            .collect(),
    ))
}

/// What is needed to make some values of given ones, as a model of its own; given ones that are wanted are left out.
fn part(model: &ModelProto, graph: &Graph, given: &[NamedTensor], wanted: &[&str]) -> ModelProto {
    let known: BTreeSet<&str> = given.iter().map(|(n, _)| n.as_str()).collect();
    let (mut nodes, mut constants) = (BTreeSet::new(), BTreeSet::new());
    let wanted: Vec<&str> = wanted.iter().copied().filter(|n| !known.contains(n)).collect();
    let mut names = wanted.clone();
    while let Some(name) = names.pop() {
        if known.contains(name) {
            continue;
        }
        if let Some(&at) = graph.initializers.get(name) {
            constants.insert(at);
        } else if let Some(&at) = graph.producer.get(name)
            && nodes.insert(at)
        {
            names.extend(
                graph
                    .proto
                    .node
                    .iter()
                    .skip(at)
                    .take(1)
                    .flat_map(|n| &n.input)
                    .map(String::as_str),
            );
        }
    }
    let input = |(name, tensor): &NamedTensor| typed(name, tensor);
    let proto = GraphProto {
        name: Some("part".to_owned()),
        node: nodes.iter().filter_map(|&n| graph.proto.node.get(n).cloned()).collect(),
        initializer: constants
            .iter()
            .filter_map(|&n| graph.proto.initializer.get(n).cloned())
            .collect(),
        input: given.iter().map(input).collect(),
        output: wanted.into_iter().map(named_value).collect(),
        ..Default::default()
    };
    ModelProto {
        ir_version: model.ir_version,
        opset_import: model.opset_import.clone(),
        graph: Some(proto),
        ..Default::default()
    }
}

fn typed(name: &str, tensor: &Tensor) -> ValueInfoProto {
    let dim = |&d: &usize| Dimension {
        value: Some(Dim::DimValue(d as i64)),
        ..Default::default()
    };
    let shape = TensorShapeProto {
        dim: tensor.dims.iter().map(dim).collect(),
    };
    ValueInfoProto {
        r#type: Some(TypeProto {
            value: Some(Kind::TensorType(type_proto::Tensor {
                elem_type: Some(tensor.dtype as i32),
                shape: Some(shape),
            })),
            ..Default::default()
        }),
        ..named_value(name)
    }
}

/// The model with values as outputs besides its own.
pub(super) fn with_outputs<'n>(model: &ModelProto, values: impl Iterator<Item = &'n String>) -> ModelProto {
    let mut copy = model.clone();
    let Some(graph) = copy.graph.as_mut() else { return copy };
    for name in values {
        if !graph.output.iter().chain(&graph.input).any(|o| o.name() == name) {
            graph.output.push(named_value(name));
        }
    }
    graph.value_info.clear();
    copy
}
