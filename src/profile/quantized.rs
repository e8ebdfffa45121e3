//! In which integers a layer computes: the form, types and scheme that its time depends on, and the same in words.

use serde::{Deserialize, Serialize};

use crate::channels::{FusedActivation, spec_of};
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Dtype, Graph};
use crate::ops::{Granularity, LinearKind, LinearSpec, Movement, QuantizedInputs};

/// Which operators compute a quantized layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuantizedForm {
    /// A float operator on what `DequantizeLinear` gives, perhaps with `QuantizeLinear` behind; a provider may fuse them.
    Qdq,
    /// An operator from integers to integers, with scales.
    QLinear,
    /// An operator that gives sums of integers.
    Integer,
}

/// What a quantized layer's time depends on besides its widths and geometry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Quantized {
    /// Which operators compute it.
    pub form: QuantizedForm,
    /// Element type of the stored weights, as `i8`.
    pub weight: String,
    /// Whether the weights have a scale for each output channel; else one for all.
    pub per_channel: bool,
    /// Whether any zero point of the weights is not 0.
    pub shifted: bool,
    /// Element type that the output is quantized to; none where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Element type of the stored bias; none without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<String>,
    /// Which of its quantized activations others read too: ONNX Runtime makes int8 uint8 on x86 only where one node reads it, and fuses no
    /// other there.
    #[serde(default, skip_serializing_if = "Forks::is_none")]
    pub forks: Forks,
}

/// Which quantized activations of a layer have several readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Forks {
    /// Its input.
    #[serde(default)]
    pub input: bool,
    /// Its output.
    #[serde(default)]
    pub output: bool,
}

impl Forks {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A quantized convolution: its form, and the element type of its input.
pub(super) struct QuantizedLayer {
    pub quantized: Quantized,
    pub input: String,
}

/// The form of a convolution whose weights are stored as integers of at least 8 bits or as 8-bit floats, with scales that its
/// provider reads; `None` for all others.
pub(super) fn quantized(graph: &Graph, node: &NodeProto) -> Option<QuantizedLayer> {
    match LinearSpec::of(node)?.quantized {
        Some(inputs) => of_operator(graph, node, inputs),
        None => between_dequantized(graph, node),
    }
}

fn of_operator(graph: &Graph, node: &NodeProto, inputs: QuantizedInputs) -> Option<QuantizedLayer> {
    let spec = LinearSpec::of(node)?;
    let input = |i: usize| node.input.get(i).map(String::as_str).filter(|n| !n.is_empty());
    let count = |i: usize| Some(graph.constant(input(i)?)?.len());
    let form = match inputs.scale {
        Some(_) => QuantizedForm::QLinear,
        None => QuantizedForm::Integer,
    };
    let weights = graph.stored(input(spec.weight)?)?;
    let per_channel = inputs.scale.into_iter().chain([inputs.weight_zero_point]);
    let activation = inputs.zero_point.and_then(input).and_then(|z| dtype(graph, z));
    let output = match form {
        QuantizedForm::QLinear => input(7).and_then(|z| dtype(graph, z)),
        _ => None,
    };
    Some(QuantizedLayer {
        input: short(activation.or_else(|| dtype(graph, input(0)?)).unwrap_or(Dtype::Uint8)),
        quantized: Quantized {
            form,
            weight: short(weights.dtype),
            per_channel: per_channel.filter_map(count).any(|n| n > 1),
            shifted: is_shifted(graph, input(inputs.weight_zero_point)),
            output: output.map(short),
            bias: inputs.bias.and_then(input).map(|_| short(Dtype::Int32)),
            forks: Forks::default(),
        },
    })
}

fn between_dequantized(graph: &Graph, node: &NodeProto) -> Option<QuantizedLayer> {
    let input = |n: &NodeProto, i: usize| n.input.get(i).filter(|n| !n.is_empty()).cloned();
    let weight = source(graph, &input(node, 1)?, "DequantizeLinear")?;
    let stored = graph.stored(weight.input.first()?)?;
    let scale = graph.stored(weight.input.get(1)?)?;
    let granularity = Granularity::of(weight, &stored.dims, &scale.dims)?;
    if matches!(granularity, Granularity::Blocks { .. }) {
        return None;
    }
    let from = source(graph, &input(node, 0)?, "DequantizeLinear").and_then(|d| dtype(graph, d.input.first()?));
    let bias = input(node, 2).map(|name| {
        let dequantized = source(graph, &name, "DequantizeLinear").and_then(|d| d.input.first());
        dequantized.and_then(|n| dtype(graph, n)).unwrap_or(Dtype::Float)
    });
    Some(QuantizedLayer {
        input: short(from.unwrap_or(Dtype::Float)),
        quantized: Quantized {
            form: QuantizedForm::Qdq,
            weight: short(stored.dtype),
            per_channel: granularity != Granularity::Tensor,
            shifted: is_shifted(graph, weight.input.get(2).map(String::as_str)),
            output: output_type(graph, node).map(short),
            bias: bias.map(short),
            forks: Forks {
                input: from.is_some()
                    && graph
                        .producer
                        .get(node.input.first()?.as_str())
                        .is_some_and(|&n| forks(graph, n)),
                output: quantizer(graph, node).is_some_and(|q| forks_behind(graph, q)),
            },
        },
    })
}

/// What quantizes a layer's output, at once or behind its activation.
fn quantizer<'g>(graph: &Graph<'g>, node: &NodeProto) -> Option<&'g NodeProto> {
    let mut user = graph.only_user(node)?;
    if spec_of(user).is_some_and(|s| s.fused != FusedActivation::No) {
        user = graph.only_user(user)?;
    }
    (user.op_type() == "QuantizeLinear").then_some(user)
}

fn output_type(graph: &Graph, node: &NodeProto) -> Option<Dtype> {
    dtype(graph, quantizer(graph, node)?.output.first()?)
}

/// Whether what the node `dequantize` reads or gives has several readers.
fn forks(graph: &Graph, dequantize: usize) -> bool {
    let from = graph.proto.node[dequantize].input.first();
    let quantize = from.and_then(|n| graph.producer.get(n.as_str()));
    quantize.is_some_and(|&q| forks_behind(graph, &graph.proto.node[q]))
}

/// Whether what a `QuantizeLinear` gives has several readers, dequantized or not.
fn forks_behind(graph: &Graph, quantize: &NodeProto) -> bool {
    let readers = |name: Option<&String>| {
        name.and_then(|n| graph.consumers.get(n.as_str()))
            .map_or(&[][..], Vec::as_slice)
    };
    match readers(quantize.output.first()) {
        [one] => readers(graph.proto.node[*one].output.first()).len() > 1,
        several => several.len() > 1,
    }
}

fn is_shifted(graph: &Graph, zero_points: Option<&str>) -> bool {
    let zeros = zero_points.and_then(|z| graph.constant(z));
    zeros.is_some_and(|z| z.bytes.iter().any(|&b| b != 0))
}

/// How a node's weights are quantized, in words with types and scheme; `None` where they are not.
pub(super) fn scheme(graph: &Graph, node: &NodeProto) -> Option<String> {
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
        let scale = quantized.scale.or(Some(quantized.weight_zero_point)).and_then(input);
        return Some(format!("{from}{}", weights(graph, input(spec.weight)?, scale, false)));
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
    let blocks = dequantize.int("block_size", 0) > 0;
    // Only what comes from constants is a weight.
    is_stored(graph, stored).then(|| format!("{from}{} (QDQ)", weights(graph, stored, scale, blocks)))
}

fn weights(graph: &Graph, name: &str, scale: Option<&str>, blocks: bool) -> String {
    let kind = dtype(graph, name).map_or("quantized".to_owned(), lower);
    let count = scale
        .and_then(|s| graph.constant(s))
        .map(|t| t.dims.iter().product::<usize>());
    match count {
        Some(_) if blocks => format!("{kind} weights in blocks"),
        Some(1) => format!("{kind} weights per tensor"),
        Some(_) => format!("{kind} weights per channel"),
        None => format!("{kind} weights"),
    }
}

/// The node of type `op` that a value comes from, at once or through nodes that only move or convert elements.
fn source<'g>(graph: &Graph<'g>, name: &str, op: &str) -> Option<&'g NodeProto> {
    let mut node = &graph.proto.node[*graph.producer.get(name)?];
    while node.op_type() != op {
        if !matches!(
            Movement::of(node),
            Some(Movement::View | Movement::Permutation | Movement::Conversion)
        ) {
            return None;
        }
        node = &graph.proto.node[*graph.producer.get(node.input.first()?.as_str())?];
    }
    Some(node)
}

/// Whether a value is stored in the file, as it is or to be quantized.
fn is_stored(graph: &Graph, name: &str) -> bool {
    let quantized = source(graph, name, "QuantizeLinear").and_then(|q| q.input.first());
    graph.stored(name).is_some() || quantized.is_some_and(|n| graph.stored(n).is_some())
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
        // What integer operators make is of the type of the output's zero point.
        "QLinearConv" | "QLinearMatMul" => dtype(graph, node.input.get(7)?),
        "Identity" | "MaxPool" | "Reshape" | "Flatten" | "Transpose" => dtype(graph, node.input.first()?),
        _ => None,
    }
}

/// An element type for people.
pub(super) fn lower(dtype: Dtype) -> String {
    dtype.as_str_name().to_lowercase()
}

/// An element type in problems: `i8`, `u16`, `f32`, `f8e4m3fn`.
fn short(dtype: Dtype) -> String {
    match dtype {
        Dtype::Float => "f32".to_owned(),
        Dtype::Bfloat16 => "bf16".to_owned(),
        other => lower(other)
            .replace("uint", "u")
            .replace("int", "i")
            .replace("float", "f"),
    }
}

/// The element type of a problem's name for it.
pub(super) fn long(short: &str) -> Dtype {
    match short {
        "i8" => Dtype::Int8,
        "u8" => Dtype::Uint8,
        "i16" => Dtype::Int16,
        "u16" => Dtype::Uint16,
        "i4" => Dtype::Int4,
        "u4" => Dtype::Uint4,
        "i32" => Dtype::Int32,
        "f16" => Dtype::Float16,
        "f8e4m3fn" => Dtype::Float8e4m3fn,
        "f8e4m3fnuz" => Dtype::Float8e4m3fnuz,
        "f8e5m2" => Dtype::Float8e5m2,
        "f8e5m2fnuz" => Dtype::Float8e5m2fnuz,
        _ => Dtype::Float,
    }
}

#[cfg(test)]
mod tests;
