//! The layers that are neither timed nor changed, and why: quantized ones, those whose weights are computed, those in bodies and
//! functions.

use std::collections::HashMap;

use super::extract::layers;
use crate::channels::{Analysis, input_value};
use crate::onnx::proto::{FunctionProto, ModelProto, NodeProto};
use crate::onnx::{Attributes, Dtype, Graph, label};
use crate::ops::{LinearKind, LinearSpec, Movement};

/// Why a layer is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// Its weights are integers.
    Quantized,
    /// Its weights are not in the file as they are.
    Computed,
    /// Its weights are of another floating-point type than float32 and float16.
    Type,
    /// It is inside a body of this control-flow operator.
    Body(String),
    /// It is inside a function of the model.
    Function,
    /// It is neither a `Conv` nor a `ConvTranspose` of the standard.
    Operator,
    /// The shapes around it are not known.
    Shape,
}

impl Why {
    /// For a sentence that begins with "they".
    pub fn text(&self) -> String {
        match self {
            Self::Quantized => "are quantized".to_owned(),
            Self::Computed => "have weights that are computed at run time".to_owned(),
            Self::Type => "have weights that are neither float32 nor float16".to_owned(),
            Self::Body(op) => format!("are inside a body of {op}"),
            Self::Function => "are inside a function of the model".to_owned(),
            Self::Operator => "are of operators other than Conv and ConvTranspose".to_owned(),
            Self::Shape => "have shapes that are not known".to_owned(),
        }
    }

    /// What would bring such layers in, where something does.
    pub fn unlock(&self) -> Option<&'static str> {
        match self {
            Self::Quantized => Some("optimize the float model before quantizing it"),
            Self::Computed => Some("export it with the weights folded into constants (for example with onnxsim)"),
            Self::Type => Some("export it in float32"),
            Self::Body(_) => Some("export it without control flow around its layers"),
            Self::Function => Some("inline its functions first (onnx.inliner.inline_local_functions)"),
            Self::Operator => Some("take the model as it was exported, not one that ONNX Runtime optimized and saved"),
            Self::Shape => None,
        }
    }
}

/// A layer that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Index of its node in the main graph; `None` within bodies and functions.
    pub node: Option<usize>,
    /// Its name, for people.
    pub name: String,
    /// Its operator, with the domain where that is not the standard one.
    pub op: String,
    /// Whether it is a convolution; otherwise a product with quantized weights.
    pub convolution: bool,
    /// Why.
    pub why: Why,
    /// The same in words, with types and scheme: `uint8 activations, int8 weights per channel`.
    pub what: String,
}

/// All layers of a model that [`layers`] does not give: convolutions of any kind, and products whose weights are quantized.
pub fn left_out(model: &ModelProto, graph: &Graph, analysis: &Analysis) -> Vec<LeftOut> {
    let timed: Vec<usize> = layers(graph, analysis).iter().map(|l| l.node).collect();
    let mut found = Vec::new();
    for (index, node) in graph.proto.node.iter().enumerate() {
        if timed.binary_search(&index).is_err() {
            found.extend(of_node(graph, analysis, index));
        }
        within(node, &mut found);
    }
    for function in &model.functions {
        of_function(function, &mut found);
    }
    found
}

/// A layer of the main graph that is not timed.
fn of_node(graph: &Graph, analysis: &Analysis, index: usize) -> Option<LeftOut> {
    let node = &graph.proto.node[index];
    let scheme = scheme(graph, node);
    if !is_convolution(node) && scheme.is_none() {
        return None;
    }
    let (why, what) = match scheme {
        Some(what) => (Why::Quantized, what),
        None if !LinearSpec::is_convolution(node) => {
            (Why::Operator, "only Conv and ConvTranspose are timed".to_owned())
        }
        None => unquantized(graph, analysis, index),
    };
    Some(LeftOut {
        node: Some(index),
        name: label(node, index),
        op: operator(node),
        convolution: is_convolution(node),
        why,
        what,
    })
}

/// Why a convolution that is not quantized is left out.
fn unquantized(graph: &Graph, analysis: &Analysis, index: usize) -> (Why, String) {
    let node = &graph.proto.node[index];
    let weight = node.input.get(1).map_or("", String::as_str);
    if let Some(tensor) = graph.stored(weight) {
        if !matches!(tensor.dtype, Dtype::Float | Dtype::Float16) {
            return (Why::Type, format!("{} weights", lower(tensor.dtype)));
        }
        let known = |i| {
            input_value(&analysis.dependencies, node, index, i)
                .is_some_and(|v| !analysis.dependencies.dims(v).is_empty())
        };
        return match known(0) {
            true => (Why::Shape, "shapes without elements".to_owned()),
            false => (Why::Shape, "the shape of its input is not known".to_owned()),
        };
    }
    let what = match graph.producer.get(weight) {
        Some(&n) => {
            let producer = &graph.proto.node[n];
            format!(
                "its weights are computed, by {} {}",
                operator(producer),
                label(producer, n)
            )
        }
        None => format!("its weights are the input '{weight}'"),
    };
    (Why::Computed, what)
}

/// How a node's weights are quantized, if they are.
fn scheme(graph: &Graph, node: &NodeProto) -> Option<String> {
    let input = |i: usize| node.input.get(i).map(String::as_str).filter(|n| !n.is_empty());
    let activations = |name: &str| dtype(graph, name).map_or(String::new(), |t| format!("{} activations, ", lower(t)));
    if let Some(spec) = LinearSpec::of(node)
        && let Some(quantized) = spec.quantized
    {
        let dynamic = input(0)
            .and_then(|n| graph.producer.get(n))
            .is_some_and(|&n| graph.proto.node[n].op_type() == "DynamicQuantizeLinear");
        let from = match quantized.zero_point {
            // Without a zero point the activations are of the type of the weights' file entry, or made by a node that tells.
            Some(zero) => input(zero).or(input(0)).map_or(String::new(), activations),
            None => "float activations quantized at run time, ".to_owned(),
        };
        let from = if dynamic {
            "activations quantized at run time, ".to_owned()
        } else {
            from
        };
        return Some(format!(
            "{from}{}",
            weights(graph, input(spec.weight)?, quantized.scale.and_then(input))
        ));
    }
    if node.op_type() == "MatMulNBits" {
        return Some(format!("weights of {} bits in blocks", node.int("bits", 4)));
    }
    let weighted = LinearSpec::of(node).is_some_and(|s| s.kind != LinearKind::Einsum);
    if !weighted && node.op_type() != "DeformConv" {
        return None;
    }
    let dequantize = source(graph, input(1)?, "DequantizeLinear")?;
    let stored = dequantize.input.first()?;
    let scale = dequantize.input.get(1).map(String::as_str);
    let from = input(0).and_then(|n| source(graph, n, "DequantizeLinear"));
    let from = from
        .and_then(|d| d.input.first())
        .map_or(String::new(), |n| activations(n));
    let blocks = if dequantize.int("block_size", 0) > 0 {
        " in blocks"
    } else {
        ""
    };
    // Only what comes from constants is a weight.
    is_stored(graph, stored).then(|| format!("{from}{}{blocks} (QDQ)", weights(graph, stored, scale)))
}

fn weights(graph: &Graph, name: &str, scale: Option<&str>) -> String {
    let kind = dtype(graph, name).map_or("quantized".to_owned(), lower);
    let count = scale
        .and_then(|s| graph.constant(s))
        .map(|t| t.dims.iter().product::<usize>());
    match count {
        Some(1) => format!("{kind} weights per tensor"),
        Some(_) => format!("{kind} weights per channel"),
        None => format!("{kind} weights"),
    }
}

/// The node of type `op` that a value comes from, at once or through nodes that only move elements.
fn source<'g>(graph: &Graph<'g>, name: &str, op: &str) -> Option<&'g NodeProto> {
    let mut node = &graph.proto.node[*graph.producer.get(name)?];
    while node.op_type() != op {
        if !matches!(Movement::of(node), Some(Movement::View | Movement::Permutation)) {
            return None;
        }
        node = &graph.proto.node[*graph.producer.get(node.input.first()?.as_str())?];
    }
    Some(node)
}

/// Whether a value is stored in the file, as it is or to be quantized.
fn is_stored(graph: &Graph, name: &str) -> bool {
    let constant = |n: &str| {
        let made = graph.producer.get(n).map(|&p| graph.proto.node[p].op_type());
        graph.initializers.contains_key(n) || made == Some("Constant")
    };
    let quantized = source(graph, name, "QuantizeLinear").and_then(|q| q.input.first());
    constant(name) || quantized.is_some_and(|n| constant(n))
}

/// The element type of a value, as far as the file tells.
fn dtype(graph: &Graph, name: &str) -> Option<Dtype> {
    if let Some(&i) = graph.initializers.get(name) {
        return Dtype::try_from(graph.proto.initializer[i].data_type()).ok();
    }
    let node = &graph.proto.node[*graph.producer.get(name)?];
    match node.op_type() {
        "Constant" => graph.constant(name).map(|t| t.dtype),
        "QuantizeLinear" => match node.input.get(2).filter(|n| !n.is_empty()) {
            Some(zero) => dtype(graph, zero),
            None => Dtype::try_from(i32::try_from(node.int("output_dtype", Dtype::Uint8 as i64)).ok()?).ok(),
        },
        "DynamicQuantizeLinear" => Some(Dtype::Uint8),
        _ => None,
    }
}

fn lower(dtype: Dtype) -> String {
    dtype.as_str_name().to_lowercase()
}

/// Layers in the bodies of a node, at any depth.
fn within(node: &NodeProto, found: &mut Vec<LeftOut>) {
    for body in node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs)) {
        let why = Why::Body(node.op_type().to_owned());
        inner(&body.node, &why, &format!("inside a body of {}", node.op_type()), found);
    }
}

fn of_function(function: &FunctionProto, found: &mut Vec<LeftOut>) {
    inner(
        &function.node,
        &Why::Function,
        &format!("inside the function {}", function.name()),
        found,
    );
}

fn inner(nodes: &[NodeProto], why: &Why, what: &str, found: &mut Vec<LeftOut>) {
    for (index, node) in nodes.iter().enumerate() {
        if is_convolution(node) {
            found.push(LeftOut {
                node: None,
                name: label(node, index),
                op: operator(node),
                convolution: true,
                why: why.clone(),
                what: what.to_owned(),
            });
        }
        for body in node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs)) {
            inner(&body.node, why, what, found);
        }
    }
}

fn operator(node: &NodeProto) -> String {
    match node.domain() {
        "" | "ai.onnx" => node.op_type().to_owned(),
        domain => format!("{domain}.{}", node.op_type()),
    }
}

/// Convolutions of the standard, of ONNX Runtime (`QLinearConv`, `FusedConv`, `NhwcConv`) and of others.
fn is_convolution(node: &NodeProto) -> bool {
    node.op_type().contains("Conv") && !node.op_type().contains("Convert")
}

/// How many layers there are of each kind, the most first: `12 are quantized (QLinearConv: …)`.
pub fn counted<'l>(all: impl IntoIterator<Item = &'l LeftOut>) -> Vec<(Why, usize, &'l LeftOut)> {
    let mut kinds: HashMap<&Why, (usize, &LeftOut)> = HashMap::new();
    for layer in all {
        kinds.entry(&layer.why).or_insert((0, layer)).0 += 1;
    }
    let mut kinds: Vec<_> = kinds
        .into_iter()
        .map(|(why, (n, first))| (why.clone(), n, first))
        .collect();
    kinds.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    kinds
}
