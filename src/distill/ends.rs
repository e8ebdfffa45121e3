//! Inputs and outputs of models that were inside.

use std::collections::HashSet;

use crate::onnx::proto::{
    ModelProto, TensorShapeProto, TypeProto, ValueInfoProto, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension::Value as Dim, type_proto, type_proto::Value as Kind,
};
use crate::onnx::{Dtype, Tensor, named_value};

/// A weight that is trained: an initializer of float32.
#[derive(Clone, Debug)]
pub struct Trainable {
    /// Its name.
    pub name: String,
    /// Its values.
    pub tensor: Tensor,
}

/// The model with values as outputs besides its own.
pub(super) fn with_outputs(model: &ModelProto, values: &HashSet<String>) -> ModelProto {
    with_inputs(model, &[], values)
}

/// The same with weights as inputs.
pub(super) fn with_inputs(model: &ModelProto, weights: &[Trainable], values: &HashSet<String>) -> ModelProto {
    let mut copy = model.clone();
    let Some(graph) = copy.graph.as_mut() else { return copy };
    let taken = |name: &str| weights.iter().any(|w| w.name == name);
    graph.initializer.retain(|t| !taken(t.name()));
    graph.input.retain(|v| !taken(v.name()));
    graph
        .input
        .extend(weights.iter().map(|w| of_floats(&w.name, &w.tensor.dims)));
    let own: HashSet<String> = graph
        .output
        .iter()
        .chain(&graph.input)
        .map(|v| v.name().to_owned())
        .collect();
    let mut more: Vec<&String> = values.iter().filter(|name| !own.contains(*name)).collect();
    more.sort();
    graph.output.extend(more.into_iter().map(|name| named_value(name)));
    graph.value_info.clear();
    copy
}

/// A value of float32 with its extents.
pub(super) fn of_floats(name: &str, dims: &[usize]) -> ValueInfoProto {
    let dim = |&d: &usize| Dimension {
        value: Some(Dim::DimValue(d as i64)),
        ..Default::default()
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(Dtype::Float as i32),
        shape: Some(TensorShapeProto {
            dim: dims.iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        r#type: Some(TypeProto {
            value: Some(Kind::TensorType(tensor)),
            ..Default::default()
        }),
        ..named_value(name)
    }
}
