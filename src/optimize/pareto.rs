//! The curve of what a plan loses against what it takes, measured at some of its points.

use serde::Serialize;

use super::lossy::{Narrowing, Search};
use super::target_search::frontier;
use crate::Result;
use crate::onnx::encode;
use crate::plan::{ParetoPoint, Plan, Resource};
use crate::verify::compare_task;

/// One plan of the curve. Shares are of the original's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParetoRow {
    /// Predicted latency.
    pub latency: f64,
    /// Multiply-accumulates.
    pub macs: f64,
    /// Parameters.
    pub params: f64,
    /// Predicted loss.
    pub loss: f64,
    /// Groups that change.
    pub groups: usize,
    /// What was measured of it, if it was.
    pub measured: Option<Measured>,
}

/// What was measured of one plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
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

/// Seconds to race one point.
const SECONDS: f64 = 3.0;

impl Search {
    /// Points as rows of the curve, nothing measured.
    fn rows(&self, points: &[ParetoPoint]) -> Vec<ParetoRow> {
        let sizes = self.space.sizes();
        let present = self.space.present();
        let share = |r: &Resource, choice: &[usize]| r.of(&sizes, choice) / r.of(&sizes, &present);
        let row = |p: &ParetoPoint| ParetoRow {
            latency: share(&self.latency, &p.choice),
            macs: share(&self.macs, &p.choice),
            params: share(&self.params, &p.choice),
            loss: p.loss,
            groups: p.choice.iter().zip(&present).filter(|(a, b)| a != b).count(),
            measured: None,
        };
        points.iter().map(row).collect()
    }

    /// The whole curve as predicted.
    pub(super) fn predicted(&self) -> Vec<ParetoRow> {
        self.rows(&frontier(self, &self.latency).curve())
    }

    /// The predicted latency of a plan, as a share of the original's.
    pub(super) fn latency_share(&self, plan: &Plan) -> f64 {
        let (sizes, present) = (self.space.sizes(), self.space.present());
        let options = self.space.groups.iter().zip(&self.space.options).zip(&present);
        let choice: Vec<usize> = options
            .map(|((g, o), &at)| {
                plan.counts
                    .get(g)
                    .and_then(|n| o.iter().position(|m| m == n))
                    .unwrap_or(at)
            })
            .collect();
        self.latency.of(&sizes, &choice) / self.latency.of(&sizes, &present)
    }
}

impl Narrowing<'_, '_> {
    /// The plans of the curve from the widest to the narrowest; `measured` of them, evenly spread by latency, are made,
    /// raced, and run on the evaluation samples.
    pub(super) fn pareto(&self, search: &Search, measured: usize) -> Result<Vec<ParetoRow>> {
        let points = frontier(search, &search.latency).curve();
        let mut rows = search.rows(&points);
        for at in spread(&rows, measured) {
            let plan = search.plan(&points[at]);
            if plan.is_empty() {
                continue;
            }
            self.reporter.step("measuring whole models");
            let (ms, latency) = self.measure(&plan, SECONDS)?;
            let fitted = self.fitted(&plan)?;
            let task = match &self.eval {
                Some(data) => {
                    self.reporter.step("running real inputs");
                    compare_task(
                        self.device,
                        &self.original,
                        &encode(&fitted.proto),
                        data,
                        &|done, total| self.reporter.progress(done, total),
                    )?
                }
                None => None,
            };
            rows[at].measured = Some(Measured {
                ms,
                latency,
                held_out_loss: fitted.held_out().map(|h| h.loss()),
                held_out_agreement: fitted.held_out().and_then(|h| h.agreement()),
                top1: task.as_ref().and_then(|t| t.top1),
                agreement: task.as_ref().map(|t| t.agreement),
            });
        }
        Ok(rows)
    }
}

/// The rows nearest to `count` latencies spread evenly over the curve, without the first.
fn spread(rows: &[ParetoRow], count: usize) -> Vec<usize> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Vec::new();
    };
    let mut found: Vec<usize> = (1..=count)
        .filter_map(|k| {
            let wish = first.latency + (last.latency - first.latency) * k as f64 / count as f64;
            let far = |i: &usize| (rows[*i].latency - wish).abs();
            (1..rows.len()).min_by(|a, b| far(a).total_cmp(&far(b)))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}
