//! Which activations are quantized by stored scales, and which of them have one scale in common.

use std::collections::{HashMap, HashSet};

use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Dtype, Graph, Tensor, captured_names};

/// Which ends of a quantizer's range cut values off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    pub low: bool,
    pub high: bool,
}

/// An activation that is quantized and dequantized.
#[derive(Clone, Debug)]
pub(super) struct Quantizer {
    /// Index of the `QuantizeLinear`.
    pub node: usize,
    /// The floats that it takes; several may take the same.
    pub input: String,
    /// The integers that it makes.
    pub output: String,
    /// Indices of the `DequantizeLinear` nodes behind it; at least one.
    pub back: Vec<usize>,
}

/// Quantizers with one scale and one zero point for all elements.
#[derive(Clone, Debug)]
pub(super) struct SharedScale {
    pub quantizers: Vec<Quantizer>,
    pub scale: f32,
    pub zero: i64,
    /// The least and the greatest integer.
    pub limits: (i64, i64),
    /// One of them has no zero point, so that it is zero whatever the scale.
    pub without_zero: bool,
}

impl SharedScale {
    /// The least and the greatest number that it can hold.
    pub fn range(&self) -> (f32, f32) {
        let (least, most) = self.limits;
        (
            (least - self.zero) as f32 * self.scale,
            (most - self.zero) as f32 * self.scale,
        )
    }

    /// Which ends cut values off, of those known by the names of the integers.
    pub fn ends(&self, known: &HashMap<String, Ends>) -> Ends {
        let each = self.quantizers.iter().filter_map(|q| known.get(&q.output));
        each.fold(Ends::default(), |a, b| Ends {
            low: a.low || b.low,
            high: a.high || b.high,
        })
    }
}

/// A quantizer alone.
struct Single<'g> {
    own: Quantizer,
    steps: Parameters,
    without_zero: bool,
    /// The scale's constant.
    name: &'g str,
}

/// The activations whose scales may be chosen: quantized by one stored float for the whole tensor, and read through
/// `DequantizeLinear` alone, with the same scale and zero point. Those that read the same constant share a scale, and those that pass
/// on what another gives, by one node and with the very same numbers, such as a `MaxPool` between two pairs.
pub(super) fn shared_scales(graph: &Graph) -> Vec<SharedScale> {
    let captured: HashSet<String> = graph.proto.node.iter().flat_map(captured_names).collect();
    let nodes = graph.proto.node.iter().enumerate();
    let singles: Vec<Single> = nodes
        .filter_map(|(at, node)| single(graph, at, node, &captured))
        .collect();
    let mut group: Vec<usize> = (0..singles.len()).collect();
    let merge = |group: &mut Vec<usize>, a: usize, b: usize| {
        let (from, to) = (group[a].max(group[b]), group[a].min(group[b]));
        group.iter_mut().filter(|g| **g == from).for_each(|g| *g = to);
    };
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    let mut by_back: HashMap<usize, usize> = HashMap::new();
    for (k, one) in singles.iter().enumerate() {
        if let Some(&first) = by_name.get(one.name) {
            merge(&mut group, first, k);
        }
        by_name.entry(one.name).or_insert(k);
        by_back.extend(one.own.back.iter().map(|&b| (b, k)));
    }
    for (k, one) in singles.iter().enumerate() {
        let Some(&maker) = graph.producer.get(one.own.input.as_str()) else {
            continue;
        };
        let from = graph.proto.node[maker].input.first();
        let Some(&p) = from.and_then(|n| by_back.get(graph.producer.get(n.as_str())?)) else {
            continue;
        };
        if singles[p].steps == one.steps {
            merge(&mut group, p, k);
        }
    }
    let mut all: Vec<SharedScale> = Vec::new();
    let mut place: HashMap<usize, usize> = HashMap::new();
    for (one, g) in singles.into_iter().zip(group) {
        let at = *place.entry(g).or_insert(all.len());
        match all.get_mut(at) {
            Some(shared) => {
                shared.quantizers.push(one.own);
                shared.without_zero |= one.without_zero;
            }
            None => all.push(SharedScale {
                quantizers: vec![one.own],
                scale: one.steps.scale,
                zero: one.steps.zero,
                limits: one.steps.limits,
                without_zero: one.without_zero,
            }),
        }
    }
    all
}

/// How many activations are quantized by several stored scales, one for each channel or block: those are not chosen anew.
pub(super) fn with_several_scales(graph: &Graph) -> usize {
    let several = |node: &&NodeProto| {
        let stored = |at: usize| node.input.get(at).and_then(|n| graph.stored(n));
        node.op_type() == "QuantizeLinear" && stored(0).is_none() && stored(1).is_some_and(|scale| scale.len() > 1)
    };
    graph.proto.node.iter().filter(several).count()
}

fn single<'g>(graph: &'g Graph, at: usize, node: &'g NodeProto, captured: &HashSet<String>) -> Option<Single<'g>> {
    if node.op_type() != "QuantizeLinear" {
        return None;
    }
    let (input, name) = (node.input.first()?, node.input.get(1)?);
    let without = match node.int("output_dtype", 0) {
        0 => Dtype::Uint8,
        code => Dtype::try_from(i32::try_from(code).ok()?).ok()?,
    };
    let steps = parameters(graph, node, without)?;
    let output = node.output.first()?;
    let given_out = graph.proto.output.iter().any(|o| o.name() == output);
    if graph.stored(input).is_some() || given_out || captured.contains(output) {
        return None;
    }
    let back = graph.consumers.get(output.as_str())?;
    let undone = back.iter().all(|&b| {
        let node = &graph.proto.node[b];
        node.op_type() == "DequantizeLinear" && parameters(graph, node, steps.dtype) == Some(steps)
    });
    let pair = std::iter::once(node).chain(back.iter().map(|&b| &graph.proto.node[b]));
    let without_zero = pair.into_iter().any(|n| zero_point(n).is_none());
    let own = Quantizer {
        node: at,
        input: input.clone(),
        output: output.clone(),
        back: back.clone(),
    };
    undone.then_some(Single {
        own,
        steps,
        without_zero,
        name,
    })
}

/// The zero point's name, where a node has one.
fn zero_point(node: &NodeProto) -> Option<&String> {
    node.input.get(2).filter(|n| !n.is_empty())
}

/// One scale and zero point for a whole tensor of integers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Parameters {
    scale: f32,
    zero: i64,
    dtype: Dtype,
    /// The least and the greatest integer of the type.
    limits: (i64, i64),
}

/// Those of a node that quantizes or dequantizes with one float for the whole tensor. Without a zero point it is zero, and the integers
/// are of the type `without`.
fn parameters(graph: &Graph, node: &NodeProto, without: Dtype) -> Option<Parameters> {
    let only = |name: &String| -> Option<Tensor> {
        // What callers may replace stays.
        let own = !graph.replaceable.contains(name.as_str());
        graph.stored(name).filter(|t| own && t.len() == 1)
    };
    let scale = only(node.input.get(1)?).filter(|t| t.dtype == Dtype::Float)?;
    let scale = *scale.to_f32()?.first()?;
    let (zero, dtype) = match zero_point(node) {
        Some(name) => {
            let zero = only(name)?;
            (*zero.to_i64()?.first()?, zero.dtype)
        }
        None => (0, without),
    };
    let limits = match dtype {
        Dtype::Int8 => (-128, 127),
        Dtype::Uint8 => (0, 255),
        Dtype::Int16 => (-32768, 32767),
        Dtype::Uint16 => (0, 65535),
        _ => return None,
    };
    (scale.is_normal() && scale > 0.0).then_some(Parameters {
        scale,
        zero,
        dtype,
        limits,
    })
}
