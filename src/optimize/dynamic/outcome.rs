//! The dynamic variant's part of the result, as data.

use super::rows::GateRow;
use crate::profile::Summary;
use crate::verify::{Agreement, Task};

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
    pub reference: Option<Agreement>,
    /// The static model and the dynamic one on real inputs.
    pub task: Option<Task>,
    /// The share of held-out samples whose class changes (the loss, for other outputs).
    pub held_out_drop: Option<f64>,
    /// The same on the evaluation samples (top-1 lost, where they have labels), which decide where they are given.
    pub eval_drop: Option<f64>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Dynamic {
    /// Nothing was made.
    pub(in crate::optimize) fn none(why: &str) -> Self {
        Self {
            declined: Some(why.to_owned()),
            ..Self::default()
        }
    }
}
