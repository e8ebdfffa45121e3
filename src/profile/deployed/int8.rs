//! A float32 model with `QuantizeLinear` and `DequantizeLinear` around its operators, in the form that ONNX Runtime's `quantize_static` writes.

use std::collections::HashMap;

use super::ranges::Range;
use crate::channels::{FusedActivation, spec_of};
use crate::onnx::proto::{ModelProto, NodeProto, TensorProto};
use crate::onnx::{Attributes, Dtype, Graph, Tensor};
use crate::ops::is_batch_norm;
use crate::profile::probe::node;
use crate::{Error, Result};

/// Operators that a quantizer takes to integers and whose outputs have a scale of their own.
const RESCALING: [&str; 14] = [
    "Conv",
    "ConvTranspose",
    "Gemm",
    "MatMul",
    "Add",
    "Mul",
    "Concat",
    "AveragePool",
    "GlobalAveragePool",
    "Relu",
    "Clip",
    "LeakyRelu",
    "Sigmoid",
    "Softmax",
];
/// Those that pass integers on: what they make has the scale of what they read.
const PASSING: [&str; 8] = [
    "MaxPool",
    "Reshape",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Resize",
    "Pad",
    "Split",
];

/// Whether a quantizer takes the inputs and outputs of an operator to integers.
fn is_quantized(op: &str) -> bool {
    RESCALING.contains(&op) || PASSING.contains(&op)
}

/// A scale and a zero point of int8.
#[derive(Clone, Copy)]
struct Steps {
    scale: f32,
    zero: i8,
}

impl Steps {
    fn of(range: Range) -> Self {
        let scale = (range.high - range.low) / 255.0;
        if !scale.is_normal() {
            return Self { scale: 1.0, zero: 0 };
        }
        Self {
            scale,
            zero: (-128.0 - range.low / scale).round_ties_even().clamp(-128.0, 127.0) as i8,
        }
    }
}

/// `model` quantized by the ranges of its activations. Values do not matter to the time: normalizations behind convolutions go, as ONNX
/// Runtime's preparation folds them.
pub(super) fn quantized(model: &ModelProto, ranges: &HashMap<String, Range>, per_channel: bool) -> Result<ModelProto> {
    let model = without_norms(model)?;
    let graph = Graph::of(&model)?;
    let mut writer = Writer {
        graph: &graph,
        ranges,
        per_channel,
        initializers: Vec::new(),
        nodes: Vec::new(),
        inputs: HashMap::new(),
        constants: HashMap::new(),
    };
    for input in graph.real_inputs() {
        if writer.steps(input).is_some() && writer.is_between(input) {
            let back = writer.pair(input, &format!("{input}.quantized"), &format!("{input}.dequantized"));
            writer.inputs.insert(input.to_owned(), back);
        }
    }
    for (index, node) in graph.proto.node.iter().enumerate() {
        writer.node(index, node);
    }
    let Writer {
        initializers, nodes, ..
    } = writer;
    let mut quantized = model.clone();
    if let Some(target) = quantized.graph.as_mut() {
        target.node = nodes;
        target.initializer.extend(initializers);
        target.value_info.clear();
    }
    Ok(quantized)
}

struct Writer<'a> {
    graph: &'a Graph<'a>,
    ranges: &'a HashMap<String, Range>,
    per_channel: bool,
    initializers: Vec<TensorProto>,
    nodes: Vec<NodeProto>,
    /// Graph inputs that are read quantized, and what stands for them.
    inputs: HashMap<String, String>,
    /// Constants that were quantized, and what stands for them.
    constants: HashMap<String, String>,
}

impl Writer<'_> {
    fn node(&mut self, index: usize, node: &NodeProto) {
        let mut node = node.clone();
        let quantizes = is_quantized(node.op_type());
        for name in &mut node.input {
            if let Some(back) = self.inputs.get(name) {
                name.clone_from(back);
            }
        }
        if quantizes {
            self.weights(&mut node, index);
        }
        let mut behind = Vec::new();
        for name in node.output.iter_mut().filter(|n| !n.is_empty()) {
            if self.steps(name).is_some() && self.is_between(name) {
                let own = std::mem::replace(name, format!("{name}.made"));
                behind.push((own, name.clone()));
            }
        }
        self.nodes.push(node);
        for (name, made) in behind {
            self.pair_of(&name, &made, &format!("{name}.quantized"), &name);
        }
    }

    /// Scale and zero point of an activation; `None` where it is no float.
    fn steps(&self, name: &str) -> Option<Steps> {
        let mut name = name;
        while let Some(&at) = self.graph.producer.get(name) {
            let node = &self.graph.proto.node[at];
            match node.input.first().filter(|_| PASSING.contains(&node.op_type())) {
                Some(from) => name = from,
                None => break,
            }
        }
        self.ranges.get(name).copied().map(Steps::of)
    }

    /// Whether an operator that is quantized reads or makes a value, which no activation that is fused reads alone.
    fn is_between(&self, name: &str) -> bool {
        let nodes = &self.graph.proto.node;
        let readers = self.graph.consumers.get(name).map_or(&[][..], Vec::as_slice);
        let clips = |n: &usize| {
            let fuses = spec_of(&nodes[*n]).is_some_and(|s| s.fused != FusedActivation::No);
            fuses && matches!(nodes[*n].op_type(), "Relu" | "Clip")
        };
        if !readers.is_empty() && readers.iter().all(clips) {
            return false;
        }
        let maker = self.graph.producer.get(name);
        maker
            .into_iter()
            .chain(readers)
            .any(|&n| is_quantized(nodes[n].op_type()))
    }

    fn pair(&mut self, from: &str, quantized: &str, back: &str) -> String {
        self.pair_of(from, from, quantized, back);
        back.to_owned()
    }

    /// `from`, quantized as the activation `of` and back.
    fn pair_of(&mut self, of: &str, from: &str, quantized: &str, back: &str) {
        let Some(Steps { scale, zero }) = self.steps(of) else {
            return;
        };
        let scale = self.constant(&format!("{of}.scale"), &Tensor::from_f32(vec![], &[scale]));
        let zero = self.constant(&format!("{of}.zero_point"), &int8(vec![], &[zero]));
        self.nodes.push(output(
            node(
                "QuantizeLinear",
                &format!("{of}.q"),
                vec![from.to_owned(), scale.clone(), zero.clone()],
            ),
            quantized,
        ));
        self.nodes.push(output(
            node(
                "DequantizeLinear",
                &format!("{of}.dq"),
                vec![quantized.to_owned(), scale, zero],
            ),
            back,
        ));
    }

    /// Constants of a node as integers, dequantized in front of it.
    fn weights(&mut self, node: &mut NodeProto, index: usize) {
        let linear = matches!(node.op_type(), "Conv" | "ConvTranspose" | "Gemm" | "MatMul");
        if !linear && !matches!(node.op_type(), "Add" | "Mul") {
            return;
        }
        let from = &self.graph.proto.node[index];
        let input_scale = from.input.first().and_then(|x| self.steps(x)).map(|s| s.scale);
        let mut weight_scales = None;
        for (i, name) in node.input.iter_mut().enumerate() {
            let Some(values) = self.graph.stored(name).filter(|t| t.dtype == Dtype::Float) else {
                continue;
            };
            if linear && i == 2 {
                let scales: Option<(Vec<f32>, f32)> = weight_scales.clone().zip(input_scale);
                if let Some((scales, input)) = scales {
                    *name = self.bias(name.as_str(), index, &values, &scales, input);
                }
                continue;
            }
            let per_channel = self.per_channel && node.op_type.as_deref() == Some("Conv");
            let (stored, scales) = coded(&values, per_channel);
            weight_scales = Some(scales.clone());
            if let Some(known) = self.constants.get(name.as_str()) {
                name.clone_from(known);
                continue;
            }
            let back = format!("{name}.weights");
            let stored = self.constant(&format!("{name}.int8"), &stored);
            self.back(&stored, &back, scales, Dtype::Int8);
            self.constants.insert(name.clone(), back.clone());
            *name = back;
        }
    }

    fn bias(&mut self, name: &str, index: usize, values: &Tensor, scales: &[f32], input: f32) -> String {
        let scales: Vec<f32> = scales.iter().map(|s| s * input).collect();
        let each = values.to_f32().unwrap_or_default();
        let bytes = each.iter().enumerate().flat_map(|(at, v)| {
            let scale = scales.get(at).or(scales.first()).copied().unwrap_or(1.0);
            ((v / scale).round_ties_even() as i32).to_le_bytes()
        });
        let stored = Tensor {
            dims: values.dims.clone(),
            dtype: Dtype::Int32,
            bytes: bytes.collect(),
        };
        let back = format!("{name}.bias{index}");
        let stored = self.constant(&format!("{back}.int32"), &stored);
        self.back(&stored, &back, scales, Dtype::Int32);
        back
    }

    /// Stored integers as floats, along the first axis where there are several scales.
    fn back(&mut self, stored: &str, back: &str, scales: Vec<f32>, dtype: Dtype) {
        let dims = if scales.len() == 1 { vec![] } else { vec![scales.len()] };
        let zeros = Tensor {
            dims: dims.clone(),
            dtype,
            bytes: vec![0; scales.len() * if dtype == Dtype::Int32 { 4 } else { 1 }].into(),
        };
        let several = scales.len() > 1;
        let scale = self.constant(&format!("{back}.scale"), &Tensor::from_f32(dims, &scales));
        let zero = self.constant(&format!("{back}.zero_point"), &zeros);
        let mut dequantize = node("DequantizeLinear", back, vec![stored.to_owned(), scale, zero]);
        if several {
            dequantize.set_int("axis", 0);
        }
        self.nodes.push(dequantize);
    }

    fn constant(&mut self, name: &str, tensor: &Tensor) -> String {
        if !self.initializers.iter().any(|t| t.name() == name) {
            self.initializers.push(tensor.to_proto(name));
        }
        name.to_owned()
    }
}

/// Symmetric int8 with a scale for all or for each index of the first axis.
fn coded(values: &Tensor, per_channel: bool) -> (Tensor, Vec<f32>) {
    let each = values.to_f32().unwrap_or_default();
    let rows = if per_channel {
        values.dims.first().copied().unwrap_or(1)
    } else {
        1
    };
    let run = each.len().checked_div(rows).unwrap_or(0).max(1);
    let scale = |row: &[f32]| {
        let most = row.iter().fold(0.0f32, |m, v| m.max(v.abs())) / 127.0;
        if most.is_normal() { most } else { 1.0 }
    };
    let scales: Vec<f32> = each.chunks(run).map(scale).collect();
    let integer = |(at, v): (usize, &f32)| (v / scales[at / run]).round_ties_even().clamp(-127.0, 127.0) as i8;
    let integers: Vec<i8> = each.iter().enumerate().map(integer).collect();
    let scales = if scales.is_empty() { vec![1.0] } else { scales };
    (int8(values.dims.clone(), &integers), scales)
}

fn int8(dims: Vec<usize>, values: &[i8]) -> Tensor {
    Tensor {
        dims,
        dtype: Dtype::Int8,
        bytes: values.iter().map(|v| *v as u8).collect(),
    }
}

fn output(mut node: NodeProto, name: &str) -> NodeProto {
    node.output = vec![name.to_owned()];
    node
}

/// Convolutions make what the normalizations behind them made; they add a bias.
fn without_norms(model: &ModelProto) -> Result<ModelProto> {
    let graph = Graph::of(model)?;
    let mut folded = model.clone();
    let target = folded.graph.as_mut();
    let target = target.ok_or_else(|| Error::Model("the model has no graph".to_owned()))?;
    let mut gone = Vec::new();
    for (index, node) in graph.proto.node.iter().enumerate() {
        let norm = graph.only_user(node).filter(|n| is_batch_norm(n));
        let (Some(norm), "Conv" | "ConvTranspose") = (norm, node.op_type()) else {
            continue;
        };
        let conv = &mut target.node[index];
        conv.input.resize(3, String::new());
        if conv.input[2].is_empty() {
            conv.input[2] = norm.input.get(2).cloned().unwrap_or_default();
        }
        conv.output[..1].clone_from_slice(&norm.output[..1]);
        gone.extend(
            norm.output
                .first()
                .and_then(|o| graph.producer.get(o.as_str()))
                .copied(),
        );
    }
    let mut at = 0..;
    target.node.retain(|_| at.next().is_none_or(|n| !gone.contains(&n)));
    Ok(folded)
}
