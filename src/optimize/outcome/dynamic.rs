//! The dynamic variant's part of the result, as data.

use serde::Serialize;

use super::super::distillation::Distillation;
use super::gate_drop::GateDrop;
use super::no_gates::NoGates;
use crate::profile::Summary;
use crate::verify::{Agreement, MetricScores, Task};

/// What became of the dynamic variant.
#[derive(Clone, Debug, Default)]
pub struct Dynamic {
    /// The file's bytes, if gates pay.
    pub model: Option<Vec<u8>>,
    /// Why there is none.
    pub declined: Option<NoGates>,
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
    /// How the outputs agree with those of the reference form.
    pub reference: Option<Agreement>,
    /// The static model and the dynamic one on real inputs.
    pub task: Option<Task>,
    /// The share of held-out samples whose class changes (the loss, for other outputs).
    pub held_out_drop: Option<f64>,
    /// What is lost on the evaluation samples, which decide where they are given.
    pub eval_drop: Option<GateDrop>,
    /// The static model and the dynamic one by the user's own metric, on the same samples.
    pub metric: Option<MetricScores>,
    /// What gates lose on the samples that choose with the model's own weights, and with the best of those and of weights fitted behind gates.
    pub fitted: Option<[f64; 2]>,
    /// What gradient steps on the weights behind gates gave.
    pub distillation: Option<Distillation>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Dynamic {
    /// Nothing was made.
    pub(crate) fn none(why: NoGates) -> Self {
        Self {
            declined: Some(why),
            ..Self::default()
        }
    }
}

/// One block and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
    pub retained_energy: Option<f64>,
    /// `fitted`, `mean` for equal weights, or `fixed` where the same channels are taken for every input.
    pub attention: Option<&'static str>,
    /// Why it is used or not.
    pub reason: String,
}
