//! The layers that are neither timed nor changed, and why: quantized ones, those whose weights are computed, those in bodies and
//! functions.

use std::collections::HashMap;

use super::extract::layers;
use super::in_floats::in_floats;
use super::quantized::{lower, scheme};
use crate::channels::{Analysis, input_value, spec_of};
use crate::onnx::proto::{FunctionProto, ModelProto, NodeProto};
use crate::onnx::{Dtype, Graph, label};
use crate::ops::LinearSpec;

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
            Self::Quantized => "are quantized in a way that is not timed".to_owned(),
            Self::Computed => "have weights that are computed at run time".to_owned(),
            Self::Type => "have weights that are neither float32 nor float16".to_owned(),
            Self::Body(op) => format!("are inside a body of {op}"),
            Self::Function => "are inside a function of the model".to_owned(),
            Self::Operator => "are of operators other than Conv, ConvTranspose, QLinearConv and ConvInteger".to_owned(),
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
    /// Whether it is a convolution; otherwise a product with quantized weights and no rule.
    pub convolution: bool,
    /// Why.
    pub why: Why,
    /// The same in words, with types and scheme: `uint8 activations, int8 weights per channel`.
    pub what: String,
}

/// All layers of a model that [`layers`] does not give: convolutions of any kind, and quantized products without a rule.
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
    // Products are not timed; those with a rule change with what surrounds them.
    if !is_convolution(node) && (scheme.is_none() || spec_of(node).is_some()) {
        return None;
    }
    let (why, what) = match scheme {
        Some(what) => (Why::Quantized, what),
        None if !LinearSpec::is_convolution(node) => (
            Why::Operator,
            "only Conv, ConvTranspose, QLinearConv and ConvInteger are timed".to_owned(),
        ),
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

/// The nodes of the main graph whose weights are quantized, with types and scheme in words.
pub fn quantized_layers(graph: &Graph) -> Vec<Described> {
    let nodes = graph.proto.node.iter().enumerate();
    let described = nodes.filter_map(|(index, node)| {
        Some(Described {
            node: index,
            name: label(node, index),
            op: operator(node),
            what: scheme(graph, node)?,
            in_floats: in_floats(graph, node),
        })
    });
    described.collect()
}

/// Whether a node's weights are quantized.
pub fn is_quantized(graph: &Graph, node: usize) -> bool {
    scheme(graph, &graph.proto.node[node]).is_some()
}

/// A layer in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Index of its node.
    pub node: usize,
    /// Its name, for people.
    pub name: String,
    /// Its operator, with the domain where that is not the standard one.
    pub op: String,
    /// Types and scheme: `uint8 activations, int8 weights per channel`.
    pub what: String,
    /// Why it is a convolution that ONNX Runtime computes in floats all the same on a processor, where it is.
    pub in_floats: Option<&'static str>,
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
