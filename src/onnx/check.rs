//! What a model must keep to before anything is done with it. What is wrong is told with the name of the node or tensor.

use std::collections::{HashMap, HashSet};

use super::attribute::Attributes;
use super::dtype::{Dtype, check_size};
use super::graph::label;
use super::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use super::tensors::tensors;
use crate::{Error, Result};

/// Extents, strides and the like beyond this make no sense in any network.
const ABSURD: i64 = 1 << 24;
/// Operators whose weights must be numbers: what they give is added up.
const WEIGHED: [&str; 5] = ["Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization"];

/// Checks names, sizes and the attributes of convolutions.
///
/// # Errors
/// The first rule that is broken.
pub(super) fn check(model: &ModelProto) -> Result<()> {
    let Some(graph) = model.graph.as_ref() else {
        return Err(Error::Model("the model has no graph".to_owned()));
    };
    // Also those within nodes and bodies.
    tensors(graph).into_iter().try_for_each(check_size)?;
    names(graph)?;
    let weights: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|t| (t.name(), t)).collect();
    let mut nodes = graph.node.iter().enumerate();
    nodes.try_for_each(|(i, n)| convolution(&weights, n, i))
}

/// Checks what only holds once all weights are here.
///
/// # Errors
/// When a weight is no number.
pub(super) fn check_values(graph: &GraphProto) -> Result<()> {
    let mut weights: HashSet<&str> = HashSet::new();
    for node in graph.node.iter().filter(|n| WEIGHED.contains(&n.op_type())) {
        weights.extend(node.input.iter().skip(1).map(String::as_str));
    }
    for tensor in graph.initializer.iter().filter(|t| weights.contains(t.name())) {
        if let Some(at) = not_a_number(tensor) {
            return Err(Error::tensor(
                tensor.name(),
                format!("element {at} of this weight is no number (NaN or infinite)"),
            ));
        }
    }
    Ok(())
}

fn names(graph: &GraphProto) -> Result<()> {
    let mut seen: HashSet<&str> = HashSet::new();
    for tensor in &graph.initializer {
        if tensor.name().is_empty() {
            return Err(Error::Model("an initializer has no name".to_owned()));
        }
        if !seen.insert(tensor.name()) {
            return Err(Error::tensor(tensor.name(), "two initializers have this name"));
        }
    }
    let mut inputs: HashSet<&str> = HashSet::new();
    for input in &graph.input {
        if !inputs.insert(input.name()) {
            return Err(Error::Model(format!("two inputs are called '{}'", input.name())));
        }
    }
    let made = graph.node.iter().flat_map(|n| &n.output).map(String::as_str);
    let all: HashSet<&str> = seen.into_iter().chain(inputs).chain(made).collect();
    let sparse: HashSet<&str> = graph
        .sparse_initializer
        .iter()
        .filter_map(|s| s.values.as_ref().map(|v| v.name()))
        .collect();
    let mut outputs: HashSet<&str> = HashSet::new();
    for output in &graph.output {
        if !all.contains(output.name()) && !sparse.contains(output.name()) {
            return Err(Error::Model(format!("nothing makes the output '{}'", output.name())));
        }
        if !outputs.insert(output.name()) {
            return Err(Error::Model(format!("two outputs are called '{}'", output.name())));
        }
    }
    if let Some((i, node)) = graph.node.iter().enumerate().find(|(_, n)| n.op_type().is_empty()) {
        return Err(Error::Model(format!("node {} has no operator", label(node, i))));
    }
    Ok(())
}

/// A convolution's weight has channels, and its attributes are such that it can be computed.
fn convolution(weights: &HashMap<&str, &TensorProto>, node: &NodeProto, at: usize) -> Result<()> {
    if !matches!(node.op_type(), "Conv" | "ConvTranspose") || !node.is_standard() {
        return Ok(());
    }
    let wrong = |what: String| Err(Error::Model(format!("node {}: {what}", label(node, at))));
    let weight = node.input.get(1).and_then(|w| weights.get(w.as_str()));
    let dims: &[i64] = weight.map_or(&[], |t| &t.dims);
    if weight.is_some() && dims.len() < 3 {
        return wrong(format!("its weight has {} axes", dims.len()));
    }
    if dims.contains(&0) {
        return wrong(format!("its weight has no elements ({dims:?})"));
    }
    let group = node.attr("group").and_then(|a| a.i).unwrap_or(1);
    // The output channels of a convolution, the input channels of a transposed one.
    if group < 1 || dims.first().is_some_and(|first| first % group != 0) {
        return wrong(format!(
            "group is {group}, which does not divide its {} channels",
            dims.first().unwrap_or(&0)
        ));
    }
    for name in ["strides", "dilations", "kernel_shape"] {
        if let Some(bad) = node
            .ints(name)
            .unwrap_or_default()
            .into_iter()
            .find(|v| !(1..=ABSURD).contains(v))
        {
            return wrong(format!("{name} holds {bad}"));
        }
    }
    for name in ["pads", "output_padding", "output_shape"] {
        if let Some(bad) = node
            .ints(name)
            .unwrap_or_default()
            .into_iter()
            .find(|v| !(-ABSURD..=ABSURD).contains(v))
        {
            return wrong(format!("{name} holds {bad}"));
        }
    }
    if let Some(kernel) = node.ints("kernel_shape").filter(|_| weight.is_some())
        && kernel != dims[2..]
    {
        return wrong(format!("kernel_shape is {kernel:?}, its weight's {:?}", &dims[2..]));
    }
    Ok(())
}

/// The first element that is no number.
fn not_a_number(tensor: &TensorProto) -> Option<usize> {
    let raw = tensor.raw_data();
    match Dtype::try_from(tensor.data_type()).ok()? {
        Dtype::Float if tensor.raw_data.is_none() => tensor.float_data.iter().position(|v| !v.is_finite()),
        Dtype::Double if tensor.raw_data.is_none() => tensor.double_data.iter().position(|v| !v.is_finite()),
        Dtype::Float => raw
            .as_chunks()
            .0
            .iter()
            .position(|&b| !f32::from_le_bytes(b).is_finite()),
        Dtype::Double => raw
            .as_chunks()
            .0
            .iter()
            .position(|&b| !f64::from_le_bytes(b).is_finite()),
        Dtype::Float16 => raw
            .as_chunks()
            .0
            .iter()
            .position(|&b| !half::f16::from_le_bytes(b).is_finite()),
        Dtype::Bfloat16 => raw
            .as_chunks()
            .0
            .iter()
            .position(|&b| !half::bf16::from_le_bytes(b).is_finite()),
        _ => None,
    }
}
