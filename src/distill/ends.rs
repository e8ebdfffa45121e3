//! Inputs and outputs of models that were inside.

use std::collections::HashSet;

use super::codes::Codes;
use crate::onnx::proto::{
    ModelProto, TensorShapeProto, TypeProto, ValueInfoProto, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension::Value as Dim, type_proto, type_proto::Value as Kind,
};
use crate::onnx::{Dtype, Tensor, named_value};

/// A weight that is trained: an initializer of float32, or integers that a layer reads as float32.
#[derive(Clone, Debug)]
pub struct Trainable {
    /// The name under which the layer reads it.
    pub name: String,
    /// Its values.
    pub tensor: Tensor,
    /// The integers that it is stored as.
    pub(super) codes: Option<Codes>,
}

impl Trainable {
    /// Writes what the model computes with in the place of these weights.
    pub(super) fn compute(&self, weights: &[f32], into: &mut [f32]) {
        let rounded = self.codes.as_ref().map(|codes| codes.rounded(weights));
        let values = rounded.as_deref().unwrap_or(weights);
        into.iter_mut().zip(values).for_each(|(a, v)| *a = *v);
    }

    /// Takes weights back to what their integers reach.
    pub(super) fn hold(&self, weights: &mut [f32]) {
        if let Some(codes) = &self.codes {
            codes.hold(weights);
        }
    }

    /// The initializer that holds it, and these weights as it holds them.
    pub(super) fn stored(&self, weights: &[f32]) -> (&str, Tensor) {
        match &self.codes {
            Some(codes) => (&codes.initializer, codes.stored(weights)),
            None => (&self.name, Tensor::from_f32(self.tensor.dims.clone(), weights)),
        }
    }
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
    graph.node.retain(|n| !n.output.iter().any(|o| taken(o)));
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
