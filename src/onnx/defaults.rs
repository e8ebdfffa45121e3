//! Weights that are graph inputs too: defaults that callers may replace, from version 4 of the format on. Before, every weight had to
//! be an input, and none could be replaced.

use std::collections::HashSet;

use super::proto::{ModelProto, TensorProto, TypeProto, ValueInfoProto};
use super::proto::{TensorShapeProto, tensor_shape_proto as shape, type_proto};

/// The version of the format from which on weights need not be inputs.
const OPTIONAL: i64 = 4;

/// The weights that callers may replace.
pub(super) fn replaceable(model: &ModelProto) -> HashSet<&str> {
    if model.ir_version() < OPTIONAL {
        return HashSet::new();
    }
    let Some(graph) = &model.graph else {
        return HashSet::new();
    };
    let inputs: HashSet<&str> = graph.input.iter().map(|v| v.name()).collect();
    let weights = graph.initializer.iter().map(|t| t.name());
    weights.filter(|name| inputs.contains(name)).collect()
}

/// Makes the weights that callers may replace plain constants, and says how many.
pub(super) fn fix_weights(model: &mut ModelProto) -> usize {
    let names: HashSet<String> = replaceable(model).into_iter().map(str::to_owned).collect();
    if let Some(graph) = model.graph.as_mut() {
        graph.input.retain(|v| !names.contains(v.name()));
    }
    names.len()
}

/// Before version 4 of the format, weights that were added have to be inputs like all others.
pub fn declare_weights(model: &mut ModelProto) {
    let old = model.ir_version() < OPTIONAL;
    let Some(graph) = model.graph.as_mut().filter(|_| old) else {
        return;
    };
    let inputs: HashSet<&str> = graph.input.iter().map(|v| v.name()).collect();
    let missing: Vec<ValueInfoProto> = graph
        .initializer
        .iter()
        .filter(|t| !inputs.contains(t.name()))
        .map(described)
        .collect();
    graph.input.extend(missing);
}

fn described(tensor: &TensorProto) -> ValueInfoProto {
    let dim = |&n: &i64| shape::Dimension {
        value: Some(shape::dimension::Value::DimValue(n)),
        ..Default::default()
    };
    let kind = type_proto::Tensor {
        elem_type: tensor.data_type,
        shape: Some(TensorShapeProto {
            dim: tensor.dims.iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        name: tensor.name.clone(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(kind)),
            ..Default::default()
        }),
        ..Default::default()
    }
}
