//! Parts of models that take the same time: the same operators on the same shapes, whatever they are called and whatever their weights are.
//! Networks repeat their blocks, whose gates are timed once.

use std::collections::{HashMap, HashSet};

use crate::device::NamedTensor;
use crate::onnx::proto::{ModelProto, TensorProto};
use crate::onnx::{Dtype, encode};

/// What decides on the time of a part that is run on such inputs: a hash of its graph with values numbered in their order, shapes in the place of floats, and the inputs'
/// shapes.
pub(super) fn likeness(part: &ModelProto, inputs: &[NamedTensor]) -> blake3::Hash {
    let mut part = part.clone();
    let mut numbers: HashMap<String, String> = HashMap::new();
    let mut numbered = |name: &mut String| {
        if !name.is_empty() {
            let next = numbers.len().to_string();
            *name = numbers.entry(std::mem::take(name)).or_insert(next).clone();
        }
    };
    let mut seen = Vec::new();
    if let Some(graph) = part.graph.as_mut() {
        // Which channels are taken from weights tells nothing of the time.
        let gathers = graph.node.iter().filter(|n| n.op_type() == "Gather");
        let places: HashSet<String> = gathers.filter_map(|n| n.input.get(1).cloned()).collect();
        // Scales are floats that make shapes.
        let resized = graph
            .node
            .iter()
            .filter(|n| matches!(n.op_type(), "Resize" | "Upsample"));
        let scales: HashSet<String> = resized.flat_map(|n| n.input.iter().skip(1).cloned()).collect();
        graph.name = None;
        graph.doc_string = None;
        graph.value_info.clear();
        for value in graph.input.iter_mut() {
            let own = inputs.iter().find(|(name, _)| name == value.name());
            seen.extend(own.map(|(_, tensor)| format!("{:?} {:?}", tensor.dtype, tensor.dims)));
            numbered(value.name.get_or_insert_default());
        }
        for node in &mut graph.node {
            node.name = None;
            node.doc_string = None;
            node.input.iter_mut().chain(&mut node.output).for_each(&mut numbered);
        }
        for value in &mut graph.output {
            numbered(value.name.get_or_insert_default());
        }
        for tensor in &mut graph.initializer {
            let (picks, scales) = (places.contains(tensor.name()), scales.contains(tensor.name()));
            numbered(tensor.name.get_or_insert_default());
            let float = [Dtype::Float, Dtype::Float16, Dtype::Bfloat16, Dtype::Double];
            // Other whole numbers are shapes.
            if picks || !scales && float.iter().any(|kind| tensor.data_type() == *kind as i32) {
                let bare = TensorProto {
                    dims: std::mem::take(&mut tensor.dims),
                    data_type: tensor.data_type,
                    name: tensor.name.take(),
                    ..TensorProto::default()
                };
                *tensor = bare;
            }
        }
        graph.initializer.sort_by(|a, b| a.name().cmp(b.name()));
    }
    let mut hash = blake3::Hasher::new();
    hash.update(&encode(&part));
    hash.update(seen.join(",").as_bytes());
    hash.finalize()
}

#[cfg(test)]
mod tests {
    use super::likeness;
    use crate::onnx::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
    use crate::onnx::{Attributes, Tensor};

    /// One convolution with weights of a shape, under names with a prefix; its stride, and the first weight.
    fn part(prefix: &str, dims: &[usize], stride: i64, weight: f32) -> ModelProto {
        let named = |name: &str| format!("{prefix}{name}");
        let mut node = NodeProto {
            op_type: Some("Conv".to_owned()),
            name: Some(named("node")),
            input: vec![named("x"), named("w")],
            output: vec![named("y")],
            ..NodeProto::default()
        };
        node.set_ints("strides", vec![stride; 2]);
        let value = |name: &str| ValueInfoProto {
            name: Some(named(name)),
            ..ValueInfoProto::default()
        };
        let weights = vec![weight; dims.iter().product()];
        ModelProto {
            graph: Some(GraphProto {
                node: vec![node],
                initializer: vec![Tensor::from_f32(dims.to_vec(), &weights).to_proto(&named("w"))],
                input: vec![value("x")],
                output: vec![value("y")],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    #[test]
    fn names_and_weights_do_not_matter_and_shapes_do() {
        let like = |prefix: &str, dims: &[usize], stride: i64, size: usize| {
            let input = Tensor::from_f32(vec![1, dims[1], size, size], &vec![0.0; dims[1] * size * size]);
            likeness(
                &part(prefix, dims, stride, stride as f32),
                &[(format!("{prefix}x"), input)],
            )
        };
        let first = like("a", &[4, 2, 3, 3], 1, 8);
        assert_eq!(first, like("b", &[4, 2, 3, 3], 1, 8));
        assert_ne!(first, like("a", &[8, 2, 3, 3], 1, 8));
        assert_ne!(first, like("a", &[4, 2, 3, 3], 2, 8));
        assert_ne!(first, like("a", &[4, 2, 3, 3], 1, 16));
        let given = |weight| likeness(&part("a", &[4, 2, 1, 1], 1, weight), &[]);
        assert_eq!(given(1.0), given(2.0));
        let resized = |scale| {
            let mut part = part("a", &[4], 1, scale);
            let node = part.graph.as_mut().and_then(|g| g.node.first_mut());
            node.into_iter().for_each(|n| n.op_type = Some("Resize".to_owned()));
            likeness(&part, &[])
        };
        assert_ne!(resized(2.0), resized(4.0));
    }
}
