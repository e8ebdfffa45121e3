//! The dynamic variant's part of the result, as data.

use serde::Serialize;

use super::offers::Offer;
use crate::gate::Block;
use crate::profile::Summary;
use crate::verify::{Agreement, Task};

/// One block and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GateRow {
    /// The block: the name of its addition.
    pub block: String,
    /// `tiles`, `channels` or `both`; `dense` for a block without a gate.
    pub kind: &'static str,
    /// Whether the gate is in the written file.
    pub used: bool,
    /// The share of the block's tiles, channels, or both multiplied, that is computed.
    pub keep: Option<f64>,
    /// Rows and columns of a tile.
    pub tile: Option<(usize, usize)>,
    /// The share at which gates of this kind take as long as the dense block.
    pub break_even: Option<f64>,
    /// Milliseconds of the dense block with its neighbours, and of the gated one.
    pub ms_dense: Option<f64>,
    /// The same with the gate.
    pub ms_gated: Option<f64>,
    /// Multiply-accumulates that are executed, of the dense block's.
    pub flops_share: Option<f64>,
    /// What the model's outputs lose by this gate alone.
    pub loss: Option<f64>,
    /// The share of what the block adds that the kept parts hold, on samples that the attention was not fitted on.
    pub captured: Option<f64>,
    /// `fitted`, or `mean` for equal weights.
    pub attention: Option<&'static str>,
    /// Why it is used or not.
    pub reason: String,
}

/// What became of the dynamic variant.
#[derive(Clone, Debug, Default)]
pub struct Dynamic {
    /// The file's bytes, if gates pay.
    pub model: Option<Vec<u8>>,
    /// Why there is none.
    pub declined: Option<String>,
    /// Every block.
    pub gates: Vec<GateRow>,
    /// Latencies of the original, the static and the dynamic model, side by side.
    pub latency: Option<[Summary; 3]>,
    /// Dynamic over static, and the noise of that.
    pub ratio: Option<(f64, f64)>,
    /// Dynamic over original.
    pub ratio_original: Option<f64>,
    /// Multiply-accumulates executed for one sample.
    pub macs: Option<u64>,
    /// How the outputs agree with those of the masked twin.
    pub twin: Option<Agreement>,
    /// The static model and the dynamic one on real inputs.
    pub task: Option<Task>,
    /// The share of held-out samples whose class changes (the loss, for other outputs).
    pub held_out_drop: Option<f64>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Dynamic {
    /// Nothing was made.
    pub(super) fn none(why: &str) -> Self {
        Self {
            declined: Some(why.to_owned()),
            ..Self::default()
        }
    }
}

/// A line for an offer, or for a block without one.
pub(super) fn row(block: &Block, offer: Option<&Offer>, break_even: Option<f64>, used: bool, reason: &str) -> GateRow {
    let macs = block.macs().max(1) as f64;
    let tile = offer.and_then(|o| o.gate.tiles.as_ref()).map(|t| t.tiling.tile);
    GateRow {
        block: block.name.clone(),
        kind: offer.map_or("dense", |o| o.gate.kind()),
        used,
        keep: offer.map(|o| o.gate.keep_share()),
        tile: tile.map(|t| (t.rows, t.columns)),
        break_even,
        ms_dense: offer.and_then(|o| o.timed).map(|t| t.dense_ms),
        ms_gated: offer.and_then(|o| o.timed).map(|t| t.gated_ms),
        flops_share: offer.map(|o| o.gate.macs() as f64 / macs),
        loss: offer.and_then(|o| o.loss),
        captured: offer.map(|o| o.captured),
        attention: offer.map(|o| if o.fitted { "fitted" } else { "mean" }),
        reason: reason.to_owned(),
    }
}

/// The share at which gates of an offer's kind (and tile) cost what the dense block costs, by a line through their
/// times; `None` with fewer than two shares.
pub(super) fn break_even(list: &[Offer], of: &Offer) -> Option<f64> {
    let tile = |o: &Offer| o.gate.tiles.as_ref().map(|t| t.tiling.tile);
    let maker = |o: &Offer| o.gate.channels.as_ref().map(|c| c.maker);
    let alike = list.iter().filter(|o| tile(o) == tile(of) && maker(o) == maker(of));
    let points: Vec<(f64, f64)> = alike
        .filter_map(|o| o.timed.map(|t| (o.gate.keep_share(), t.gated_ms / t.dense_ms)))
        .collect();
    let count = points.len() as f64;
    let (mx, my) = points
        .iter()
        .fold((0.0, 0.0), |(x, y), p| (x + p.0 / count, y + p.1 / count));
    let spread: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
    let slope = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>() / spread;
    (points.len() > 1 && spread > 0.0 && slope > 0.0).then(|| (mx + (1.0 - my) / slope).clamp(0.0, 1.0))
}
