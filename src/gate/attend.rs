//! Attention as nodes: scores, the choice of the greatest, and the choice as a mask.
//!
//! As in AntiDote (arXiv 2008.06543): the attention of a place is the mean of the channels' magnitudes, that of a channel
//! the mean over space; here with calibrated weights, of which equal ones are a case.

use super::emit::{GateEmitter, GateForm};
use super::spec::{ChannelGate, TileGate};

/// Indices of the tiles that are kept: samples × tiles kept.
pub(super) fn tile_choice(m: &mut GateEmitter, gate: &TileGate) -> String {
    let input = m.gate.block.input.clone();
    let pooled = m.magnitudes(&input, gate);
    let weights = m.floats(&[1, gate.attention.len(), 1, 1], &gate.attention);
    let scores = m.builder.op("Conv", &[&pooled, &weights], &[("kernel_shape", &[1, 1])]);
    let flat = m.builder.reshape(&scores, &[-1, gate.tiling.tiles() as i64]);
    m.builder.top(&flat, gate.keep)
}

/// Indices of the channels that are kept: samples × channels kept; a list for the compact form, which takes one sample.
pub(super) fn channel_choice(m: &mut GateEmitter, gate: &ChannelGate, x: &str, form: GateForm) -> String {
    let channels = gate.fill.len();
    let pooled = m.builder.op("GlobalAveragePool", &[x], &[]);
    let weights = m.floats(
        &[channels, gate.attention.len() / channels.max(1), 1, 1],
        &gate.attention,
    );
    let bias = m.floats(&[channels], &gate.bias);
    let scores = m
        .builder
        .op("Conv", &[&pooled, &weights, &bias], &[("kernel_shape", &[1, 1])]);
    let flat = m.builder.reshape(&scores, &[-1, channels as i64]);
    let chosen = m.builder.top(&flat, gate.keep);
    if form == GateForm::Masked {
        chosen
    } else {
        m.builder.reshape(&chosen, &[gate.keep as i64])
    }
}

/// 1 for the kept tiles' places, else 0: samples × 1 × rows × columns.
pub(super) fn tile_mask(m: &mut GateEmitter, gate: &TileGate, chosen: &str) -> String {
    let [up, across] = gate.tiling.counts.map(|n| n as i64);
    let kept = one_hot(m, chosen, gate.keep, gate.tiling.tiles());
    let apart = m.builder.reshape(&kept, &[-1, 1, up, 1, across, 1]);
    let (rows, columns) = (gate.tiling.tile.rows, gate.tiling.tile.columns);
    let ones = m.floats(&[1, 1, 1, rows, 1, columns], &vec![1.0; rows * columns]);
    let spread = m.builder.op("Mul", &[&apart, &ones], &[]);
    let [_, height, width] = m.gate.block.output_dims;
    m.builder.reshape(&spread, &[-1, 1, height as i64, width as i64])
}

/// 1 for the kept channels, else 0: samples × channels × 1 × 1.
pub(super) fn channel_mask(m: &mut GateEmitter, gate: &ChannelGate, chosen: &str) -> String {
    let kept = one_hot(m, chosen, gate.keep, gate.fill.len());
    m.builder.reshape(&kept, &[-1, gate.fill.len() as i64, 1, 1])
}

/// Indices as ones and zeros: samples × 1 × `of`.
fn one_hot(m: &mut GateEmitter, chosen: &str, keep: usize, of: usize) -> String {
    let column = m.builder.reshape(chosen, &[-1, keep as i64, 1]);
    let all = m.builder.table(&[1, 1, of], &(0..of as i64).collect::<Vec<_>>());
    let same = m.builder.op("Equal", &[&column, &all], &[]);
    let to = m.float_type();
    let floats = m.builder.op("Cast", &[&same], &[("to", &[to])]);
    let ones = m.floats(&[1, 1, keep], &vec![1.0; keep]);
    m.builder.op("MatMul", &[&ones, &floats], &[])
}
