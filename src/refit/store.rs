//! Putting new weights into a layer of a model.

use std::collections::HashSet;

use crate::onnx::proto::{ModelProto, NodeProto};
use crate::onnx::{Dtype, Graph, Tensor, captured_names, label};
use crate::score::Mixer;
use crate::{Error, Result};

/// Stores weights (outputs × columns) and a bias in the layer that makes `mixer.output`. A constant that something
/// else reads too stays as it is there.
///
/// # Errors
/// When the model has no such layer, or the sizes do not fit.
pub fn store(model: &mut ModelProto, mixer: &Mixer, weights: &[f32], bias: Option<&[f32]>) -> Result<()> {
    let graph = model.graph.as_ref();
    let graph = graph.ok_or_else(|| Error::Model("the model has no graph".to_owned()))?;
    let missing = || {
        Error::Plan(format!(
            "the rewritten model has no layer that makes '{}'",
            mixer.output
        ))
    };
    let index = Graph::new(graph)?;
    let at = *index.producer.get(mixer.output.as_str()).ok_or_else(missing)?;
    let node = &graph.node[at];
    let old = node.input.get(1).and_then(|n| index.constant(n)).ok_or_else(missing)?;
    let mut changes = vec![(1, with_values(&old.dims, old.dtype, &mixer.stored_order(weights)))];
    if let Some(bias) = bias.filter(|_| mixer.takes_bias) {
        changes.push((2, with_values(&[bias.len()], old.dtype, bias)));
    }
    let mut placed = Vec::new();
    for (input, tensor) in changes {
        let tensor =
            tensor.ok_or_else(|| Error::Plan(format!("the weights of {} have another size", label(node, at))))?;
        let name = node.input.get(input).cloned().unwrap_or_default();
        let own = index.initializers.contains_key(name.as_str()) && !name.is_empty() && uses(&graph.node, &name) == 1;
        let fresh =
            |n: &String| !index.initializers.contains_key(n.as_str()) && !index.producer.contains_key(n.as_str());
        let stored = if own {
            name.clone()
        } else {
            let stem = if name.is_empty() {
                format!("{}.bias", mixer.output)
            } else {
                name.clone()
            };
            let new = (1..).map(|k| format!("{stem}.refit{k}")).find(fresh);
            new.unwrap_or_default()
        };
        placed.push((input, name, stored, tensor));
    }
    let Some(graph) = model.graph.as_mut() else {
        return Err(missing());
    };
    let mut left: Vec<String> = Vec::new();
    for (input, name, stored, tensor) in placed {
        match graph.initializer.iter_mut().find(|t| t.name() == stored) {
            Some(proto) => tensor.store(proto),
            None => graph.initializer.push(tensor.to_proto(&stored)),
        }
        let inputs = &mut graph.node[at].input;
        inputs.resize(inputs.len().max(input + 1), String::new());
        inputs[input].clone_from(&stored);
        if stored != name && !name.is_empty() {
            left.push(name);
        }
    }
    left.retain(|name| uses(&graph.node, name) == 0);
    graph.initializer.retain(|t| !left.iter().any(|n| n == t.name()));
    graph.input.retain(|v| !left.iter().any(|n| n == v.name()));
    Ok(())
}

/// Takes out `Constant` nodes that nothing reads any more and that were read in `before`. [`store`] leaves them, so that
/// nodes keep their places while a model is run in parts.
pub fn drop_unread(model: &mut ModelProto, before: &Graph) {
    let Some(graph) = model.graph.as_mut() else { return };
    let mut read: HashSet<String> = graph.output.iter().map(|o| o.name().to_owned()).collect();
    for node in &graph.node {
        read.extend(node.input.iter().cloned());
        read.extend(captured_names(node));
    }
    let gone = |name: &String| !read.contains(name) && before.consumers.contains_key(name.as_str());
    graph
        .node
        .retain(|n| n.op_type() != "Constant" || !n.output.first().is_some_and(gone));
}

/// How often a value is read, bodies included.
fn uses(nodes: &[NodeProto], name: &str) -> usize {
    let direct = nodes.iter().flat_map(|n| &n.input).filter(|n| *n == name).count();
    direct + nodes.iter().filter(|n| captured_names(n).contains(name)).count()
}

/// Values in a float type; `None` when their number does not fit.
fn with_values(dims: &[usize], dtype: Dtype, values: &[f32]) -> Option<Tensor> {
    (dims.iter().product::<usize>() == values.len()).then(|| Tensor::from_f32(dims.to_vec(), values).cast(dtype))
}

#[cfg(test)]
mod tests {
    use super::{drop_unread, store};
    use crate::onnx::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto};
    use crate::onnx::{Attributes, Graph, Tensor};
    use crate::score::Mixer;

    fn constant(name: &str, values: &[f32], dims: &[usize]) -> NodeProto {
        let mut node = NodeProto {
            op_type: Some("Constant".to_owned()),
            output: vec![name.to_owned()],
            ..Default::default()
        };
        node.attribute.push(AttributeProto {
            name: Some("value".to_owned()),
            t: Some(Tensor::from_f32(dims.to_vec(), values).to_proto(name)),
            ..Default::default()
        });
        node
    }

    fn product(input: &str, weights: &str, bias: &str, output: &str) -> NodeProto {
        let mut node = NodeProto {
            op_type: Some("Gemm".to_owned()),
            input: vec![input.to_owned(), weights.to_owned(), bias.to_owned()],
            output: vec![output.to_owned()],
            ..Default::default()
        };
        node.set_int("transB", 1);
        node
    }

    /// Weights that are nodes of their own, a bias that two layers share, and nodes on both sides.
    #[test]
    fn a_layers_constants_change_and_nothing_else_does() -> crate::Result<()> {
        let value = |name: &str| ValueInfoProto {
            name: Some(name.to_owned()),
            ..Default::default()
        };
        let graph = GraphProto {
            node: vec![
                constant("w1", &[1.0, 2.0], &[1, 2]),
                constant("b", &[3.0], &[1]),
                product("x", "w1", "b", "y1"),
                constant("w2", &[4.0], &[1, 1]),
                product("y1", "w2", "b", "y2"),
            ],
            input: vec![value("x")],
            output: vec![value("y2")],
            ..Default::default()
        };
        let mut model = ModelProto {
            graph: Some(graph),
            ..Default::default()
        };
        let original = model.graph.clone().unwrap_or_default();
        for (output, weights, bias) in [("y1", &[5.0, 6.0][..], 7.0), ("y2", &[8.0][..], 9.0)] {
            let before = model.graph.clone().unwrap_or_default();
            let index = Graph::new(&before)?;
            let Some(mixer) = index.producer.get(output).and_then(|&at| Mixer::of(&index, at)) else {
                return Err(crate::Error::Plan("no layer".to_owned()));
            };
            store(&mut model, &mixer, weights, Some(&[bias]))?;
        }
        let after = model.graph.unwrap_or_default();
        let index = Graph::new(&after)?;
        for (output, weights, bias) in [("y1", vec![5.0, 6.0], 7.0), ("y2", vec![8.0], 9.0)] {
            let node = &after.node[index.producer[output]];
            assert_eq!(node.op_type(), "Gemm");
            let read = |i: usize| index.constant(&node.input[i]).and_then(|t| t.to_f32());
            assert_eq!((read(1), read(2)), (Some(weights), Some(vec![bias])));
        }
        // Nodes keep their places until the constants that nothing reads are taken out.
        assert_eq!(after.node.len(), original.node.len());
        let mut model = ModelProto {
            graph: Some(after),
            ..Default::default()
        };
        drop_unread(&mut model, &Graph::new(&original)?);
        let left = model.graph.unwrap_or_default();
        assert!(left.node.len() == 2 && left.node.iter().all(|n| n.op_type() == "Gemm"));
        Ok(())
    }
}
