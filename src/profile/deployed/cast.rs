//! A float32 model in a type of 16 bits, its inputs and outputs as they were.

use crate::onnx::proto::{ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto::Value as Kind};
use crate::onnx::{Attributes, Dtype, Tensor};
use crate::profile::probe::node;
use crate::{Error, Result};

/// `model` with all float32 constants in `dtype`, `Cast` behind its float inputs and in front of its float outputs.
pub(super) fn cast(model: &ModelProto, dtype: Dtype) -> Result<ModelProto> {
    let mut cast = model.clone();
    let graph = cast.graph.as_mut();
    let graph = graph.ok_or_else(|| Error::Model("the model has no graph".to_owned()))?;
    graph.value_info.clear();
    // Sizes of a resize are float32 in every type.
    let sizes: Vec<String> = (graph.node.iter())
        .filter(|n| matches!(n.op_type(), "Resize" | "Upsample"))
        .flat_map(|n| n.input.iter().skip(1).cloned())
        .collect();
    for tensor in &mut graph.initializer {
        if !sizes.iter().any(|n| n == tensor.name()) {
            convert(tensor, dtype)?;
        }
    }
    for node in &mut graph.node {
        if node.op_type() == "Cast" && node.int("to", 0) == Dtype::Float as i64 {
            node.set_int("to", dtype as i64);
        }
        let kept = node.output.iter().any(|o| sizes.contains(o));
        for attribute in node.attribute.iter_mut().filter(|_| !kept) {
            if let Some(tensor) = attribute.t.as_mut() {
                convert(tensor, dtype)?;
            }
        }
    }
    let constants: Vec<String> = graph.initializer.iter().map(|t| t.name().to_owned()).collect();
    let mut before = Vec::new();
    for input in graph.input.iter().filter(|v| is_float(v)) {
        let name = input.name().to_owned();
        if constants.contains(&name) {
            continue;
        }
        let inner = format!("{name}.deployed");
        for read in graph.node.iter_mut().flat_map(|n| &mut n.input) {
            if *read == name {
                read.clone_from(&inner);
            }
        }
        before.push(conversion(&name, inner, dtype));
    }
    for output in graph.output.iter().filter(|v| is_float(v)) {
        let name = output.name().to_owned();
        let inner = format!("{name}.deployed");
        for value in graph
            .node
            .iter_mut()
            .flat_map(|n| n.input.iter_mut().chain(&mut n.output))
        {
            if *value == name {
                value.clone_from(&inner);
            }
        }
        graph.node.push(conversion(&inner, name, Dtype::Float));
    }
    graph.node.splice(0..0, before);
    Ok(cast)
}

fn is_float(value: &ValueInfoProto) -> bool {
    let kind = value.r#type.as_ref().and_then(|t| t.value.as_ref());
    matches!(kind, Some(Kind::TensorType(t)) if t.elem_type() == Dtype::Float as i32)
}

fn conversion(from: &str, to: String, dtype: Dtype) -> NodeProto {
    let mut cast = node("Cast", &format!("{from}.{to}.cast"), vec![from.to_owned()]);
    cast.output = vec![to];
    cast.set_int("to", dtype as i64);
    cast
}

fn convert(tensor: &mut TensorProto, dtype: Dtype) -> Result<()> {
    if tensor.data_type() == Dtype::Float as i32 {
        Tensor::read(tensor)?.cast(dtype).store(tensor);
    }
    Ok(())
}
