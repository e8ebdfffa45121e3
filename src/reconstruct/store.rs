//! Putting new weights into a layer of a model.

use std::collections::HashSet;

use super::quantized::{place, requantized};
use crate::onnx::proto::{ModelProto, NodeProto};
use crate::onnx::{Dtype, Graph, Tensor, captured_names, label};
use crate::ops::{Dequantized, LinearOp};
use crate::{Error, Result};

/// Stores weights (outputs × columns) and a bias in the layer that makes `linear_op.output`. A constant that something
/// else reads too stays as it is there. `false`, with nothing changed, when a value is no number or the layer's element type
/// cannot hold it: float16 ends at 65504. What is dequantized for the layer is quantized again.
///
/// # Errors
/// When the model has no such layer, or the sizes do not fit.
pub fn store(model: &mut ModelProto, linear_op: &LinearOp, weights: &[f32], bias: Option<&[f32]>) -> Result<bool> {
    let graph = model.graph.as_ref();
    let graph = graph.ok_or_else(|| Error::Model("the model has no graph".to_owned()))?;
    let missing = || {
        Error::Plan(format!(
            "the rewritten model has no layer that makes '{}'",
            linear_op.output
        ))
    };
    let index = Graph::new(graph)?;
    let at = *index.producer.get(linear_op.output.as_str()).ok_or_else(missing)?;
    let node = &graph.node[at];
    if Dequantized::of(&index, node.input.get(1).map_or("", String::as_str)).is_some() {
        let placed = requantized(&index, at, linear_op, &linear_op.stored_order(weights), bias);
        let Some(placed) = placed else { return Ok(false) };
        place(model, placed);
        return Ok(true);
    }
    let old = node.input.get(1).and_then(|n| index.stored(n)).ok_or_else(missing)?;
    let mut changes = vec![(1, with_values(&old.dims, old.dtype, &linear_op.stored_order(weights)))];
    if let Some(bias) = bias.filter(|_| linear_op.takes_bias) {
        changes.push((2, with_values(&[bias.len()], old.dtype, bias)));
    }
    let mut placed = Vec::new();
    for (input, tensor) in changes {
        let tensor =
            tensor.ok_or_else(|| Error::Plan(format!("the weights of {} have another size", label(node, at))))?;
        if tensor
            .to_f32()
            .is_none_or(|values| values.iter().any(|v| !v.is_finite()))
        {
            return Ok(false);
        }
        let name = node.input.get(input).cloned().unwrap_or_default();
        let own = index.initializers.contains_key(name.as_str()) && !name.is_empty() && uses(&graph.node, &name) == 1;
        let fresh =
            |n: &String| !index.initializers.contains_key(n.as_str()) && !index.producer.contains_key(n.as_str());
        let stored = if own {
            name.clone()
        } else {
            let stem = if name.is_empty() {
                format!("{}.bias", linear_op.output)
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
    Ok(true)
}

/// Takes out `Constant` nodes that nothing reads any more and that were read in `before`, `Identity` nodes over constants
/// likewise, and what only these read. [`store`] leaves them, so that nodes keep their places while a model is run in parts.
pub fn drop_unread(model: &mut ModelProto, before: &Graph) {
    let Some(graph) = model.graph.as_mut() else { return };
    // Initializers that nodes taken out here were reading.
    let mut freed: Vec<String> = Vec::new();
    loop {
        let mut read: HashSet<String> = graph.output.iter().map(|o| o.name().to_owned()).collect();
        for node in &graph.node {
            read.extend(node.input.iter().cloned());
            read.extend(captured_names(node));
        }
        let gone = |n: &NodeProto| {
            let output = n.output.first().map_or("", String::as_str);
            let over_constant = match n.op_type() {
                "Constant" => true,
                "Identity" => before.stored(output).is_some(),
                _ => false,
            };
            over_constant && !read.contains(output) && before.consumers.contains_key(output)
        };
        let (out, left): (Vec<NodeProto>, Vec<NodeProto>) = std::mem::take(&mut graph.node).into_iter().partition(gone);
        graph.node = left;
        freed.retain(|name| !read.contains(name));
        if out.is_empty() {
            break;
        }
        freed.extend(out.into_iter().flat_map(|n| n.input));
    }
    graph.initializer.retain(|t| !freed.iter().any(|n| n == t.name()));
    graph.input.retain(|v| !freed.iter().any(|n| n == v.name()));
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
    use crate::onnx::{Attributes, Dtype, Graph, Tensor};
    use crate::ops::LinearOp;

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

    #[test]
    fn what_float16_cannot_hold_is_not_stored() -> crate::Result<()> {
        let half = |dims: Vec<usize>| Tensor::from_f32(dims, &[1.0]).cast(Dtype::Float16);
        let graph = GraphProto {
            node: vec![product("x", "w", "b", "y")],
            initializer: vec![half(vec![1, 1]).to_proto("w"), half(vec![1]).to_proto("b")],
            input: vec![ValueInfoProto {
                name: Some("x".to_owned()),
                ..Default::default()
            }],
            ..Default::default()
        };
        let index = Graph::new(&graph)?;
        let linear_op = LinearOp::of(&index, 0).ok_or_else(|| crate::Error::Plan("no layer".to_owned()))?;
        let mut model = ModelProto {
            graph: Some(graph.clone()),
            ..Default::default()
        };
        for (weight, bias) in [(70000.0, 0.0), (f32::NAN, 0.0), (1.0, -1e9), (1.0, f32::INFINITY)] {
            assert!(
                !store(&mut model, &linear_op, &[weight], Some(&[bias]))?,
                "{weight} {bias}"
            );
            assert_eq!(model.graph.as_ref(), Some(&graph));
        }
        assert!(store(&mut model, &linear_op, &[65504.0], Some(&[0.5]))?);
        Ok(())
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
            let Some(linear_op) = index.producer.get(output).and_then(|&at| LinearOp::of(&index, at)) else {
                return Err(crate::Error::Plan("no layer".to_owned()));
            };
            store(&mut model, &linear_op, weights, Some(&[bias]))?;
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

    /// A weight that two layers share, one of them through nodes that only pass it on.
    #[test]
    fn a_layer_behind_identity_nodes_gets_a_constant_of_its_own() -> crate::Result<()> {
        let identity = |input: &str, output: &str| NodeProto {
            op_type: Some("Identity".to_owned()),
            input: vec![input.to_owned()],
            output: vec![output.to_owned()],
            ..Default::default()
        };
        let value = |name: &str| ValueInfoProto {
            name: Some(name.to_owned()),
            ..Default::default()
        };
        let one = |name: &str, value: f32, dims: &[usize]| Tensor::from_f32(dims.to_vec(), &[value]).to_proto(name);
        let original = GraphProto {
            node: vec![
                identity("w", "i"),
                identity("i", "j"),
                identity("b", "c"),
                product("x", "w", "b", "y1"),
                product("y1", "j", "c", "y2"),
                identity("y2", "out"),
            ],
            initializer: vec![one("w", 1.0, &[1, 1]), one("b", 2.0, &[1])],
            input: vec![value("x")],
            output: vec![value("out")],
            ..Default::default()
        };
        let mut model = ModelProto {
            graph: Some(original.clone()),
            ..Default::default()
        };
        let index = Graph::new(&original)?;
        let linear_op = LinearOp::of(&index, 4).ok_or_else(|| crate::Error::Plan("no layer".to_owned()))?;
        assert_eq!(
            (linear_op.weights(&index), linear_op.bias(&index)),
            (Some(vec![1.0]), vec![2.0])
        );
        assert!(store(&mut model, &linear_op, &[5.0], Some(&[6.0]))?);
        drop_unread(&mut model, &index);
        let after = model.graph.unwrap_or_default();
        let index = Graph::new(&after)?;
        for (output, weight, bias) in [("y1", 1.0, 2.0), ("y2", 5.0, 6.0)] {
            let node = &after.node[index.producer[output]];
            let read = |i: usize| index.constant(&node.input[i]).and_then(|t| t.to_f32());
            assert_eq!((read(1), read(2)), (Some(vec![weight]), Some(vec![bias])));
        }
        let ops: Vec<&str> = after.node.iter().map(NodeProto::op_type).collect();
        assert_eq!(ops, ["Gemm", "Gemm", "Identity"]);
        Ok(())
    }
}
