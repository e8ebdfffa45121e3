//! A gate as nodes: the compact form computes only what is kept, the reference form computes all and masks.

use super::attend::{tile_choice, tile_mask};
use super::branch::{ChosenTiles, branch};
use super::emitter::GateEmitter;
use super::fused::{emit_fused, fusible};
use super::spec::{Gate, GateForm};
use super::tiles::{gathered, scattered};
use crate::Result;
use crate::onnx::NodeBuilder;
use crate::onnx::{Dtype, Graph};

/// The nodes and constants that take the place of a gate's block.
///
/// # Errors
/// When a weight cannot be read.
pub fn emitted(graph: &Graph, gate: &Gate, form: GateForm, opset: i64, prefix: &str) -> Result<NodeBuilder> {
    let first = gate.block.layers().first().map_or(0, |l| l.node);
    let weight = graph.proto.node[first].input.get(1).and_then(|n| graph.constant(n));
    let mut emitter = GateEmitter {
        builder: NodeBuilder::new(prefix),
        graph,
        gate,
        dtype: weight.map_or(Dtype::Float, |w| w.dtype),
        opset,
    };
    match (&gate.tiles, form) {
        (Some(tiles), GateForm::Fused) if gate.channels.is_empty() && fusible(graph, &gate.block) => {
            emit_fused(&mut emitter, tiles)?
        }
        (_, GateForm::Fused) => emit_plain(&mut emitter, GateForm::Compact)?,
        _ => emit_plain(&mut emitter, form)?,
    }
    Ok(emitter.builder)
}

/// The compact or the reference form, of standard operators.
fn emit_plain(emitter: &mut GateEmitter, form: GateForm) -> Result<()> {
    let gate = emitter.gate;
    let block = &gate.block;
    let tiles = gate.tiles.as_ref().map(|t| (t, tile_choice(emitter, t)));
    let inner = tiles.as_ref().filter(|_| form == GateForm::Compact);
    let from = match inner {
        Some((t, chosen)) => gathered(emitter, t, chosen),
        None => block.input.clone(),
    };
    let within = inner.map(|(t, chosen)| ChosenTiles {
        tiling: &t.tiling,
        chosen,
    });
    let branch = branch(emitter, from, within.as_ref(), form)?;
    let sum = match (&tiles, &block.other) {
        (None, None) => branch,
        (None, Some(other)) => emitter.builder.op("Add", &[&branch, other], &[]),
        (Some((t, chosen)), None) if form == GateForm::Masked => {
            let [channels, height, width] = block.output_dims;
            let map = emitter.floats(&[1, channels, height, width], &t.fill);
            let mask = tile_mask(emitter, t, chosen);
            let deviation = emitter.builder.op("Sub", &[&branch, &map], &[]);
            let kept = emitter.builder.op("Mul", &[&deviation, &mask], &[]);
            emitter.builder.op("Add", &[&kept, &map], &[])
        }
        (Some((t, chosen)), None) => scattered(emitter, t, chosen, &branch),
        (Some((t, chosen)), Some(other)) => {
            let placed = if form == GateForm::Masked {
                let mask = tile_mask(emitter, t, chosen);
                let less: Vec<f32> = t.fill.iter().map(|v| -v).collect();
                let deviation = emitter.plus(&branch, &less);
                let kept = emitter.builder.op("Mul", &[&deviation, &mask], &[]);
                emitter.builder.op("Add", &[other, &kept], &[])
            } else {
                scattered(emitter, t, chosen, &branch)
            };
            emitter.plus(&placed, &t.fill)
        }
    };
    let last = match block.activation {
        Some(node) => emitter.cloned(&[node], &sum, None),
        None => sum,
    };
    emitter.rename(&last, &block.output);
    Ok(())
}
