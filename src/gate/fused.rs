//! Gates of tiles as operators of our own: every convolution reads its tiles where they lie.

use super::attend::tile_choice;
use super::block::{Block, BranchStep};
use super::emitter::GateEmitter;
use super::layer::BranchLayer;
use super::spec::TileGate;
use crate::fused::{DOMAIN, Layout};
use crate::onnx::NodeBuilder;
use crate::onnx::{Attributes, Dtype, Graph, Tensor};
use crate::{Error, Result};

/// Whether a block can be made of these operators: plain convolutions in float32, with nothing but ReLU between.
pub fn fusible(graph: &Graph, block: &Block) -> bool {
    let relu = |n: usize| graph.proto.node[n].op_type() == "Relu";
    let fits = |s: &BranchStep| match s {
        BranchStep::Conv(l) => l.spec.groups == 1 && is_float32(graph, l),
        BranchStep::Pointwise(nodes) => matches!(nodes[..], [one] if relu(one)),
        BranchStep::Excite(_) => false,
    };
    let twice = block
        .steps
        .windows(2)
        .any(|w| matches!(w, [BranchStep::Pointwise(_), BranchStep::Pointwise(_)]));
    let ends = matches!(block.steps.last(), Some(BranchStep::Conv(_)));
    block.other.is_some() && block.steps.iter().all(fits) && ends && !twice && block.activation.is_none_or(relu)
}

fn is_float32(graph: &Graph, layer: &BranchLayer) -> bool {
    let weight = graph.proto.node[layer.node]
        .input
        .get(1)
        .and_then(|n| graph.constant(n));
    weight.is_some_and(|w| w.dtype == Dtype::Float)
}

/// The block as a choice of tiles and one operator for each convolution.
///
/// # Errors
/// When a weight cannot be read.
pub(super) fn emit_fused(emitter: &mut GateEmitter, gate: &TileGate) -> Result<()> {
    let block = emitter.gate.block.clone();
    let t = &gate.tiling;
    let chosen = tile_choice(emitter, gate);
    let mut x = block.input.clone();
    let convolutions = block.layers().len();
    let mut done = 0;
    for (s, step) in block.steps.iter().enumerate() {
        let Some(layer) = step.layer() else { continue };
        done += 1;
        let last = done == convolutions;
        let behind = if matches!(block.steps.get(s + 1), Some(BranchStep::Pointwise(_))) {
            s + 2
        } else {
            s + 1
        };
        let pair = |f: &dyn Fn(usize) -> usize| [f(0) as i64, f(1) as i64];
        let (from, to) = (t.windows[s], t.windows[behind]);
        let first = done == 1;
        let layout = Layout {
            from_tiles: !first,
            channels: [layer.inputs as i64, layer.outputs as i64],
            source: pair(&|a| if first { t.shape[s][a] } else { from[a].size }),
            tile: pair(&|a| to[a].size),
            kernel: pair(&|a| layer.spec.kernel[a]),
            strides: pair(&|a| layer.spec.strides[a]),
            dilations: pair(&|a| layer.spec.dilations[a]),
            before: pair(&|a| match (t.cut(a), first) {
                (true, true) => from[a].before,
                (true, false) => 0,
                (false, _) => layer.pads(a)[0],
            }),
            step: pair(&|a| if first { from[a].step } else { 0 }),
            across: t.counts[1] as i64,
            relu: if last {
                block.activation.is_some()
            } else {
                behind == s + 2
            },
            masked: t.overhangs(behind),
            map: pair(&|a| t.shape[behind][a]),
            map_step: pair(&|a| to[a].step),
            map_before: pair(&|a| to[a].before),
        };
        let (weights, bias) = packed(emitter, layer)?;
        let mut inputs = vec![x.clone(), weights, bias, chosen.clone()];
        if last {
            let fill = emitter.floats(&[gate.fill.len()], &gate.fill);
            inputs.extend(block.other.clone().into_iter().chain([fill]));
        }
        let names: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let output = if last {
            block.output.clone()
        } else {
            emitter.builder.fresh("tiles")
        };
        emitter
            .builder
            .named(if last { "TileConvAdd" } else { "TileConv" }, &names, &[], &output);
        with_layout(&mut emitter.builder, layout);
        x = output;
    }
    Ok(())
}

/// A layer's weights as taps × inputs × outputs, and its bias.
fn packed(emitter: &mut GateEmitter, layer: &BranchLayer) -> Result<(String, String)> {
    let node = &emitter.graph.proto.node[layer.node];
    let read = layer.weights(emitter.graph).zip(layer.bias(emitter.graph));
    let (weight, bias) = read.ok_or_else(|| Error::tensor(&node.input[1], "its values cannot be read as floats"))?;
    let (taps, inputs, outputs) = (layer.taps(), layer.inputs, layer.outputs);
    let mut packed = vec![0.0f32; weight.len()];
    for (o, row) in weight.chunks_exact(inputs * taps).enumerate() {
        for (i, each) in row.chunks_exact(taps).enumerate() {
            for (tap, &w) in each.iter().enumerate() {
                packed[(tap * inputs + i) * outputs + o] = w;
            }
        }
    }
    let weights = emitter
        .builder
        .constant(&Tensor::from_f32(vec![taps, inputs, outputs], &packed));
    Ok((
        weights,
        emitter.builder.constant(&Tensor::from_f32(vec![outputs], &bias)),
    ))
}

/// Makes the last node one of our operators with a layout.
fn with_layout(builder: &mut NodeBuilder, layout: Layout) {
    if let Some(node) = builder.nodes.last_mut() {
        node.domain = Some(DOMAIN.to_owned());
        node.set_ints("layout", layout.to_ints());
    }
}
