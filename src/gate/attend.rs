//! Attention as nodes: scores, the choice of the greatest, and the choice as a mask.
//!
//! As in AntiDote (arXiv 2008.06543): the attention of a place is the mean of the channels' magnitudes, that of a channel
//! the mean over space; here with calibrated weights, of which equal ones are a case.

use super::emitter::GateEmitter;
use super::spec::{ChannelGate, GateForm, TileGate};

/// Indices of the tiles that are kept: samples × tiles kept.
pub(super) fn tile_choice(emitter: &mut GateEmitter, gate: &TileGate) -> String {
    let input = emitter.gate.block.input.clone();
    let pooled = magnitudes(emitter, &input, gate);
    let weights = emitter.floats(&[1, gate.attention.len(), 1, 1], &gate.attention);
    let scores = emitter
        .builder
        .op("Conv", &[&pooled, &weights], &[("kernel_shape", &[1, 1])]);
    let flat = emitter.builder.reshape(&scores, &[-1, gate.tiling.tiles() as i64]);
    emitter.builder.top(&flat, gate.keep)
}

/// The mean of a tile's magnitudes by channel, or the whole map's.
fn magnitudes(emitter: &mut GateEmitter, x: &str, tile: &TileGate) -> String {
    let x = if emitter.gate.block.positive {
        x.to_owned()
    } else {
        emitter.builder.op("Abs", &[x], &[])
    };
    let [_, height, width] = emitter.gate.block.input_dims;
    let sides = [
        (height / tile.tiling.counts[0]) as i64,
        (width / tile.tiling.counts[1]) as i64,
    ];
    emitter
        .builder
        .op("AveragePool", &[&x], &[("kernel_shape", &sides), ("strides", &sides)])
}

/// The channels of a map that are there, where the others are left out.
#[derive(Clone, Copy)]
pub(super) struct Before<'b> {
    /// What was taken out of all channels.
    pub fill: &'b [f32],
    /// The value with the indices of those that are there; `None` where all are, the others as zeros.
    pub kept: Option<&'b str>,
}

/// Indices of the channels that are kept: samples × channels kept; a list for the compact form, which takes one sample.
pub(super) fn channel_choice(
    emitter: &mut GateEmitter,
    gate: &ChannelGate,
    x: &str,
    form: GateForm,
    before: Option<Before>,
) -> String {
    let channels = gate.fill.len();
    if let Some(fixed) = gate.fixed() {
        let indices: Vec<i64> = fixed.into_iter().map(|c| c as i64).collect();
        return match form {
            GateForm::Masked => emitter.builder.table(&[1, gate.keep], &indices),
            _ => emitter.builder.table(&[gate.keep], &indices),
        };
    }
    let pooled = emitter.builder.op("GlobalAveragePool", &[x], &[]);
    let inputs = gate.attention.len() / channels.max(1);
    let mut weights = emitter.floats(&[channels, inputs, 1, 1], &gate.attention);
    let mut bias = gate.bias.clone();
    if let Some(before) = before {
        // The map lacks its fill: what that adds to the scores is the same for every sample.
        for (row, sum) in gate.attention.chunks_exact(inputs.max(1)).zip(&mut bias) {
            *sum += row.iter().zip(before.fill).map(|(w, f)| w * f).sum::<f32>();
        }
        if let Some(kept) = before.kept {
            weights = emitter.builder.op("Gather", &[&weights, kept], &[("axis", &[1])]);
        }
    }
    let bias = emitter.floats(&[channels], &bias);
    let scores = emitter
        .builder
        .op("Conv", &[&pooled, &weights, &bias], &[("kernel_shape", &[1, 1])]);
    let flat = emitter.builder.reshape(&scores, &[-1, channels as i64]);
    let chosen = emitter.builder.top(&flat, gate.keep);
    if form == GateForm::Masked {
        chosen
    } else {
        emitter.builder.reshape(&chosen, &[gate.keep as i64])
    }
}

/// 1 for the kept tiles' places, else 0: samples × 1 × rows × columns.
pub(super) fn tile_mask(emitter: &mut GateEmitter, gate: &TileGate, chosen: &str) -> String {
    let [up, across] = gate.tiling.counts.map(|n| n as i64);
    let kept = one_hot(emitter, chosen, gate.keep, gate.tiling.tiles());
    let apart = emitter.builder.reshape(&kept, &[-1, 1, up, 1, across, 1]);
    let (rows, columns) = (gate.tiling.tile.rows, gate.tiling.tile.columns);
    let ones = emitter.floats(&[1, 1, 1, rows, 1, columns], &vec![1.0; rows * columns]);
    let spread = emitter.builder.op("Mul", &[&apart, &ones], &[]);
    let [_, height, width] = emitter.gate.block.output_dims;
    emitter.builder.reshape(&spread, &[-1, 1, height as i64, width as i64])
}

/// 1 for the kept channels, else 0: samples × channels × 1 × 1.
pub(super) fn channel_mask(emitter: &mut GateEmitter, gate: &ChannelGate, chosen: &str) -> String {
    let kept = one_hot(emitter, chosen, gate.keep, gate.fill.len());
    emitter.builder.reshape(&kept, &[-1, gate.fill.len() as i64, 1, 1])
}

/// Indices as ones and zeros: samples × 1 × `of`.
fn one_hot(emitter: &mut GateEmitter, chosen: &str, keep: usize, of: usize) -> String {
    let column = emitter.builder.reshape(chosen, &[-1, keep as i64, 1]);
    let all = emitter.builder.table(&[1, 1, of], &(0..of as i64).collect::<Vec<_>>());
    let same = emitter.builder.op("Equal", &[&column, &all], &[]);
    let to = emitter.float_type();
    let floats = emitter.builder.op("Cast", &[&same], &[("to", &[to])]);
    let ones = emitter.floats(&[1, 1, keep], &vec![1.0; keep]);
    emitter.builder.op("MatMul", &[&ones, &floats], &[])
}
