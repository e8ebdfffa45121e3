//! What is reported of one model.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::optimize::Outcome;
use crate::plan::{Metric, PerMetric};
use crate::verify::{MetricScores, Task};

/// A group whose width changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// Its first layer.
    pub layer: String,
    /// Channels before.
    pub before: usize,
    /// Channels after.
    pub after: usize,
}

/// The numbers of one model; pairs are before and after.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Numbers {
    /// Median latency, milliseconds, side by side.
    pub latency_ms: Option<(f64, f64)>,
    /// Ratio of the latencies, with half the width of its 95 % interval.
    pub ratio: Option<(f64, f64)>,
    /// The ratio that the times of the layers predict.
    pub predicted_ratio: Option<f64>,
    /// Latency of the dynamic variant over that of the static model.
    pub ratio_dynamic: Option<f64>,
    /// Largest difference of an output.
    pub max_abs_diff: Option<f64>,
    /// Largest difference of an output over its range.
    pub max_rel_diff: Option<f64>,
    /// Least cosine of an output.
    pub cosine: Option<f64>,
    /// Top-1 on the evaluation samples.
    pub top1: Option<(f64, f64)>,
    /// Share of samples with the same class.
    pub agreement: Option<f64>,
    /// The user's own metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricScores>,
    /// The numbers of other tasks, with the original's answers taken as right, by name.
    pub metrics: BTreeMap<String, f64>,
    /// The counted metrics, each under its key.
    #[serde(flatten, serialize_with = "only_counted")]
    pub counted: PerMetric<(u64, u64)>,
    /// Widths that changed.
    pub moved: Vec<Moved>,
    /// Problems timed for this model alone, and known before.
    pub probes: (usize, usize),
    /// Problems that need not be timed, by what is known of other models.
    #[serde(default, rename = "probes_spared")]
    pub probes_pruned: usize,
    /// What was not verified.
    pub unverified: Vec<String>,
}

/// The numbers of a task that is no classifier's.
fn metrics(outcome: &Outcome) -> BTreeMap<String, f64> {
    let numbers = outcome.task.iter().flat_map(|t| &t.numbers);
    numbers.filter_map(|n| Some((n.name.clone(), n.agreement?))).collect()
}

/// All but the latency, which is measured and has fields of its own.
fn only_counted<S: Serializer>(counted: &PerMetric<(u64, u64)>, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(None)?;
    for metric in Metric::counted() {
        map.serialize_entry(metric.key(), &counted[metric])?;
    }
    map.end()
}

impl Numbers {
    /// Those of an outcome.
    pub fn of(outcome: &Outcome) -> Self {
        let moved = outcome.groups.iter().filter(|g| g.before != g.after);
        let task = |of: fn(&Task) -> Option<(f64, f64)>| outcome.task.as_ref().and_then(of);
        Self {
            latency_ms: outcome.latency.as_ref().map(|(a, b)| (a.median, b.median)),
            ratio: outcome.ratio,
            predicted_ratio: outcome.predicted_ratio(),
            ratio_dynamic: outcome.dynamic.as_ref().and_then(|d| d.ratio).map(|r| r.0),
            max_abs_diff: outcome.agreement.as_ref().map(|a| a.max_abs_diff),
            max_rel_diff: outcome.agreement.as_ref().map(|a| a.max_rel_diff),
            cosine: outcome.agreement.as_ref().map(|a| a.cosine),
            top1: task(|t| t.top1),
            metric: outcome.metric.clone(),
            agreement: outcome.task.as_ref().map(|t| t.agreement),
            metrics: metrics(outcome),
            counted: PerMetric::from_fn(|m| (outcome.counted[m].before, outcome.counted[m].after)),
            moved: moved
                .map(|g| Moved {
                    layer: g.layers.first().cloned().unwrap_or_default(),
                    before: g.before,
                    after: g.after,
                })
                .collect(),
            probes: (outcome.probes.made, outcome.probes.reused),
            probes_pruned: outcome.probes.pruned,
            unverified: outcome.unverified.clone(),
        }
    }

    /// Channels that came or went.
    pub fn channels_moved(&self) -> usize {
        self.moved.iter().map(|m| m.before.abs_diff(m.after)).sum()
    }
}
