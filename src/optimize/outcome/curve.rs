//! What plans lose against what they take.

use serde::Serialize;

use crate::plan::PerMetric;

/// One plan of the curve. Shares are of the original's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParetoRow {
    /// What it takes of each metric; the latency as predicted.
    #[serde(flatten)]
    pub shares: PerMetric<f64>,
    /// Predicted loss.
    pub loss: f64,
    /// Groups that change.
    pub groups: usize,
    /// What was measured of it, if it was.
    pub measured: Option<MeasuredPoint>,
}

/// What was measured of one plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeasuredPoint {
    /// Latency in milliseconds, and as a share of the original's.
    pub ms: f64,
    /// The share.
    pub latency: f64,
    /// Loss on samples that nothing was fitted on.
    pub held_out_loss: Option<f64>,
    /// The share of those that get the original's class.
    pub held_out_agreement: Option<f64>,
    /// Top-1 of the original and of the plan on the evaluation samples.
    pub top1: Option<(f64, f64)>,
    /// The share of the evaluation samples that get the original's class.
    pub agreement: Option<f64>,
}

/// A plan that was chosen: shares of the original's latency, and losses as in [`Calibration`](super::Calibration).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ChosenPoint {
    /// Latency as predicted.
    pub latency: f64,
    /// Loss as predicted.
    pub loss: f64,
    /// Latency as measured in the last benchmark.
    pub measured: Option<f64>,
    /// Loss as measured on samples that were held out.
    pub held_out_loss: Option<f64>,
}

/// What a latency goal would give, by the tables that were measured. What it loses is not known without samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GoalAhead {
    /// The goal, as `--target-latency` takes it.
    pub goal: String,
    /// Latency in milliseconds, as predicted.
    pub predicted_ms: f64,
    /// The same over the original's.
    pub latency: f64,
    /// Multiply-accumulates over the original's.
    pub macs: f64,
    /// Groups that become narrower.
    pub groups: usize,
    /// The command that reaches for it; `DATA` stands for samples, where none were given. Empty until a job is named.
    pub command: String,
}
