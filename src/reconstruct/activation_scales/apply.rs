//! Scales put into a model, with the biases that follow.

use super::quantizers::SharedScale;
use super::steps::Steps;
use crate::onnx::proto::ModelProto;
use crate::onnx::{Dtype, Graph, Tensor};
use crate::ops::{Dequantized, with_integers};
use crate::reconstruct::quantized::{Placed, place};

/// Puts scales into `model`, whose nodes are those of `graph`. `false`, with nothing changed, where a bias could not follow.
pub(super) fn put(model: &mut ModelProto, graph: &Graph, shared: &SharedScale, new: Steps) -> bool {
    let ratio = f64::from(new.scale) / f64::from(shared.scale);
    let nodes = shared.quantizers.iter().flat_map(|q| &q.back);
    let biases: Option<Vec<Vec<Placed>>> = nodes.map(|&back| biases(graph, back, new.scale, ratio)).collect();
    let Some(biases) = biases else { return false };
    let readers: Vec<usize> = shared
        .quantizers
        .iter()
        .flat_map(|q| std::iter::once(q.node).chain(q.back.iter().copied()))
        .collect();
    for input in [1, 2] {
        let of = |at: usize| graph.stored(graph.proto.node.get(at)?.input.get(input)?);
        for (name, old) in names(graph, &readers, input) {
            let Some(old) = old.or_else(|| readers.first().and_then(|&at| of(at))) else {
                continue;
            };
            let tensor = match input {
                1 => Tensor::from_f32(old.dims.clone(), &[new.scale]),
                _ => with_integers(&old, old.dims.clone(), &[new.zero]),
            };
            let own: Vec<usize> = readers
                .iter()
                .copied()
                .filter(|&at| reads(graph, at, input, &name))
                .collect();
            assign(model, &own, input, &name, &tensor);
        }
    }
    place(model, biases.into_iter().flatten().collect());
    true
}

fn reads(graph: &Graph, at: usize, input: usize, name: &str) -> bool {
    let node = graph.proto.node.get(at);
    node.and_then(|n| n.input.get(input)).is_some_and(|n| n == name)
}

/// The constants that nodes read at an input, each once.
fn names(graph: &Graph, readers: &[usize], input: usize) -> Vec<(String, Option<Tensor>)> {
    let mut all: Vec<(String, Option<Tensor>)> = Vec::new();
    for name in readers
        .iter()
        .filter_map(|&at| graph.proto.node.get(at)?.input.get(input))
        .filter(|name| !name.is_empty())
    {
        if !all.iter().any(|(n, _)| n == name) {
            all.push((name.clone(), graph.stored(name)));
        }
    }
    all
}

/// Gives `readers` another constant at an input; one that others read too stays as it is there.
fn assign(model: &mut ModelProto, readers: &[usize], input: usize, name: &str, tensor: &Tensor) {
    let Some(graph) = model.graph.as_mut() else { return };
    let others = graph.node.iter().enumerate().any(|(at, node)| {
        let mut at_inputs = node.input.iter().enumerate();
        at_inputs.any(|(i, n)| n == name && !(i == input && readers.contains(&at)))
    });
    let given_out = graph.output.iter().chain(&graph.input).any(|v| v.name() == name);
    let captured = graph.node.iter().any(|n| crate::onnx::captured_names(n).contains(name));
    let own = graph.initializer.iter_mut().find(|t| t.name() == name);
    if let Some(own) = own.filter(|_| !others && !given_out && !captured) {
        tensor.store(own);
        return;
    }
    let taken =
        |n: &String| graph.initializer.iter().any(|t| t.name() == n) || graph.node.iter().any(|m| m.output.contains(n));
    let new = (1..).map(|k| format!("{name}.chosen{k}")).find(|n| !taken(n));
    let new = new.unwrap_or_default();
    graph.initializer.push(tensor.to_proto(&new));
    for &at in readers {
        if let Some(read) = graph.node.get_mut(at).and_then(|n| n.input.get_mut(input)) {
            read.clone_from(&new);
        }
    }
}

/// The biases in integers of the layers that read what a node dequantizes, for another scale of it; `None` where one is no layer's own, or
/// its type cannot hold it.
fn biases(graph: &Graph, back: usize, scale: f32, ratio: f64) -> Option<Vec<Placed>> {
    let output = graph.proto.node.get(back)?.output.first()?;
    let mut all = Vec::new();
    for &at in graph.consumers.get(output.as_str()).map_or(&[][..], Vec::as_slice) {
        let node = graph.proto.node.get(at)?;
        let linear = matches!(node.op_type(), "Conv" | "ConvTranspose" | "Gemm");
        let bias = node
            .input
            .get(2)
            .filter(|n| linear && !n.is_empty() && node.input.first() == Some(output));
        let Some(bias) = bias else { continue };
        let from = graph.producer.get(bias.as_str()).and_then(|&p| graph.proto.node.get(p));
        if from.is_none_or(|f| f.op_type() != "DequantizeLinear") {
            continue;
        }
        let own = Dequantized::of(graph, bias)?;
        let (stored, scales) = (own.stored(graph)?, own.scales(graph)?);
        if stored.dtype != Dtype::Int32 {
            return None;
        }
        let was = scales.to_f32()?;
        let weights = node
            .input
            .get(1)
            .and_then(|w| Dequantized::of(graph, w)?.scales(graph)?.to_f32());
        // The product as quantizers compute it, so that providers find what they look for.
        let new: Vec<f32> = match weights.filter(|w| w.len() == was.len()) {
            Some(weights) => weights.iter().map(|w| w * scale).collect(),
            None => was.iter().map(|s| (f64::from(*s) * ratio) as f32).collect(),
        };
        let integer = |(k, &q): (usize, &i64)| {
            let at = if was.len() == 1 { 0 } else { k };
            let value = q as f64 * f64::from(*was.get(at)?) / f64::from(*new.get(at)?);
            (value.abs() < f64::from(i32::MAX)).then(|| value.round_ties_even() as i64)
        };
        let integers: Option<Vec<i64>> = stored.to_i64()?.iter().enumerate().map(integer).collect();
        all.push(Placed {
            node: own.node,
            input: 0,
            tensor: with_integers(&stored, stored.dims.clone(), &integers?),
        });
        all.push(Placed {
            node: own.node,
            input: 1,
            tensor: Tensor::from_f32(scales.dims.clone(), &new).cast(scales.dtype),
        });
    }
    Some(all)
}
