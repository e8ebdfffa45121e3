//! Quantized weights that the file makes of constants: exporters of quantization-aware training leave them as floats in front of
//! `QuantizeLinear`, others turn, reshape or convert integers.

use std::collections::BTreeSet;

use super::runtime::{Runtime, tensors};
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto};
use crate::onnx::{Graph, captured_names, encode, named_value};
use crate::ops::{LinearSpec, Movement};

/// A model whose quantized weights are stored as integers.
#[derive(Debug)]
pub struct ConstantWeights {
    /// The model.
    pub proto: ModelProto,
    /// How many weights and biases the file made of other constants.
    pub count: usize,
}

/// `model` with the integers stored that it makes of constants for its quantized layers, as ONNX Runtime computes them; `None` where
/// there are none, or where ONNX Runtime does not compute them.
pub fn constant_weights(runtime: &Runtime, model: &ModelProto) -> Option<ConstantWeights> {
    // Older files list all initializers as inputs.
    if model.ir_version() < 4 {
        return None;
    }
    let graph = Graph::of(model).ok()?;
    let given_out: BTreeSet<&str> = graph.proto.output.iter().map(|o| o.name()).collect();
    let mut makers = BTreeSet::new();
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for name in graph.proto.node.iter().filter_map(integers) {
        let mut own = BTreeSet::new();
        if !given_out.contains(name) && of_constants(&graph, name, &mut own) && computes(&graph, &own) {
            names.insert(name);
            makers.extend(own);
        }
    }
    if names.is_empty() {
        return None;
    }
    let part = GraphProto {
        name: Some("weights".to_owned()),
        node: makers.iter().map(|&n| graph.proto.node[n].clone()).collect(),
        initializer: read_by(&graph, &makers),
        output: names.iter().map(|&n| named_value(n)).collect(),
        ..Default::default()
    };
    let part = ModelProto {
        graph: Some(part),
        ..model_without_graph(model)
    };
    let computed = tensors(runtime.run_plain(&encode(&part), &[]).ok()?);
    let mut proto = model.clone();
    let target = proto.graph.as_mut()?;
    for (name, tensor) in &computed {
        target.initializer.push(tensor.to_proto(name));
    }
    let stored: BTreeSet<&str> = computed.iter().map(|(name, _)| name.as_str()).collect();
    target
        .node
        .retain(|n| !n.output.iter().any(|o| stored.contains(o.as_str())));
    drop_unread(target, &graph, &makers);
    (!computed.is_empty()).then_some(ConstantWeights {
        proto,
        count: computed.len(),
    })
}

/// The input of a node that holds integers of a layer: what is dequantized, or the weights of an operator on integers.
fn integers(node: &NodeProto) -> Option<&str> {
    let at = match (node.op_type(), LinearSpec::of(node)) {
        ("DequantizeLinear", _) => 0,
        (_, Some(spec)) if spec.quantized.is_some() => spec.weight,
        _ => return None,
    };
    node.input.get(at).map(String::as_str).filter(|n| !n.is_empty())
}

/// Whether a value is made of constants by nodes that quantize, convert or move elements; `makers` are all of those nodes.
fn of_constants(graph: &Graph, name: &str, makers: &mut BTreeSet<usize>) -> bool {
    if graph.initializers.contains_key(name) {
        return !graph.replaceable.contains(name);
    }
    let Some(&at) = graph.producer.get(name) else {
        return false;
    };
    let node = &graph.proto.node[at];
    if node.output.len() != 1 || (node.op_type() != "Constant" && Movement::of(node).is_none()) {
        return false;
    }
    makers.insert(at);
    let mut read = node.input.iter().filter(|n| !n.is_empty());
    read.all(|n| of_constants(graph, n, makers))
}

/// Whether nodes do more than to give constants another name.
fn computes(graph: &Graph, makers: &BTreeSet<usize>) -> bool {
    let mut ops = makers.iter().map(|&n| graph.proto.node[n].op_type());
    ops.any(|op| !matches!(op, "Constant" | "Identity"))
}

/// The initializers that nodes read.
fn read_by(graph: &Graph, makers: &BTreeSet<usize>) -> Vec<crate::onnx::proto::TensorProto> {
    let inputs = makers.iter().flat_map(|&n| &graph.proto.node[n].input);
    let read: BTreeSet<usize> = inputs
        .filter_map(|n| graph.initializers.get(n.as_str()).copied())
        .collect();
    read.into_iter().map(|i| graph.proto.initializer[i].clone()).collect()
}

/// Takes out what only the weights were made of.
fn drop_unread(target: &mut GraphProto, before: &Graph, makers: &BTreeSet<usize>) {
    let made: BTreeSet<&str> = makers
        .iter()
        .flat_map(|&n| before.proto.node[n].output.iter().map(String::as_str))
        .collect();
    let from: BTreeSet<&str> = makers
        .iter()
        .flat_map(|&n| before.proto.node[n].input.iter().map(String::as_str))
        .collect();
    loop {
        let mut read: BTreeSet<String> = target.output.iter().map(|o| o.name().to_owned()).collect();
        for node in &target.node {
            read.extend(node.input.iter().cloned());
            read.extend(captured_names(node));
        }
        let count = target.node.len();
        let unread = |n: &str| !read.contains(n);
        target
            .node
            .retain(|n| !n.output.iter().all(|o| made.contains(o.as_str()) && unread(o)));
        target
            .initializer
            .retain(|t| !(from.contains(t.name()) && unread(t.name())));
        if target.node.len() == count {
            return;
        }
    }
}

fn model_without_graph(model: &ModelProto) -> ModelProto {
    ModelProto {
        ir_version: model.ir_version,
        opset_import: model.opset_import.clone(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::constant_weights;
    use crate::device::Runtime;
    use crate::onnx::proto::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto};
    use crate::onnx::{Attributes, Dtype, Graph, Tensor};

    fn node(op: &str, inputs: &[&str], output: &str, list: Option<(&str, Vec<i64>)>) -> NodeProto {
        let mut node = NodeProto {
            op_type: Some(op.to_owned()),
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Default::default()
        };
        if let Some((name, values)) = list {
            node.set_ints(name, values);
        }
        node
    }

    fn model(nodes: Vec<NodeProto>) -> ModelProto {
        let bytes = |dtype, bytes: &[u8]| Tensor {
            dims: if bytes.len() == 1 { vec![] } else { vec![1, bytes.len()] },
            dtype,
            bytes: bytes.to_vec().into(),
        };
        let graph = GraphProto {
            node: nodes,
            initializer: vec![
                Tensor::from_f32(vec![2, 2], &[0.26, -0.25, 20.0, 0.05]).to_proto("w"),
                Tensor::from_f32(vec![], &[0.1]).to_proto("s"),
                bytes(Dtype::Int8, &[3]).to_proto("z"),
                bytes(Dtype::Int8, &[1, 0xff]).to_proto("i"),
            ],
            input: vec![crate::onnx::named_value("x")],
            ..Default::default()
        };
        ModelProto {
            ir_version: Some(8),
            opset_import: vec![OperatorSetIdProto {
                version: Some(17),
                ..Default::default()
            }],
            graph: Some(graph),
            ..Default::default()
        }
    }

    #[test]
    fn integers_that_constants_are_turned_into_are_stored() -> crate::Result<()> {
        let runtime = Runtime::load(None)?;
        let model = model(vec![
            node("Transpose", &["w"], "t", Some(("perm", vec![1, 0]))),
            node("QuantizeLinear", &["t", "s", "z"], "q", None),
            node("DequantizeLinear", &["q", "s", "z"], "d", None),
            node("DequantizeLinear", &["i", "s"], "e", None),
            node("QuantizeLinear", &["x", "s", "z"], "a", None),
            node("DequantizeLinear", &["a", "s", "z"], "b", None),
        ]);
        let found = constant_weights(&runtime, &model).ok_or_else(|| crate::Error::Plan("none".to_owned()))?;
        assert_eq!(found.count, 1);
        let graph = Graph::of(&found.proto)?;
        let ops: Vec<&str> = graph.proto.node.iter().map(NodeProto::op_type).collect();
        assert_eq!(
            ops,
            [
                "DequantizeLinear",
                "DequantizeLinear",
                "QuantizeLinear",
                "DequantizeLinear"
            ]
        );
        let stored = graph.stored("q").unwrap();
        // Ties go to even, what is too large is cut off: 2.6, 200, -2.5 and 0.5 steps, then the zero point of 3.
        assert_eq!((stored.dtype, stored.to_i64()), (Dtype::Int8, Some(vec![6, 127, 1, 3])));
        assert!(graph.stored("w").is_none() && graph.stored("s").is_some());
        assert!(constant_weights(&runtime, &found.proto).is_none());
        Ok(())
    }
}
