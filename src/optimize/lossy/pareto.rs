//! The curve of what a plan loses against what it takes, measured at some of its points.

use super::fit::fit;
use super::search::prepare_search;
use super::sensitivity::Sensitivity;
use crate::Result;
use crate::onnx::encode;
use crate::optimize::outcome::{MeasuredPoint, ParetoRow};
use crate::optimize::proof::{Measuring, Trial};
use crate::optimize::reporter::Step;
use crate::optimize::session::Session;
use crate::plan::Metric;

/// Seconds to benchmark one point.
const SECONDS: f64 = 3.0;

/// The plans of the curve from the widest to the narrowest; `measured` of them, evenly spread by latency, are made,
/// benchmarked, and run on the evaluation samples.
///
/// # Errors
/// When a probe or a run fails, or the device is not here.
pub(crate) fn pareto(session: &mut Session, measured: usize) -> Result<Vec<ParetoRow>> {
    session.must_be_here()?;
    let search = prepare_search(session, Sensitivity::default())?;
    let points = search.frontier(search.latency()).curve();
    let mut rows = search.rows(&points);
    for at in spread(&rows, measured) {
        let plan = search.plan(&points[at]);
        if plan.is_empty() {
            continue;
        }
        let fitted = fit(session, &plan)?;
        let model = encode(&fitted.proto);
        let trial = Trial {
            step: Step::MeasureModels,
            seconds: SECONDS,
            // A point of the curve is not written: its outputs need no proof.
            compared_at: None,
            ..session.trial(&model)
        };
        let (evidence, _) = session.prove(&trial, &Measuring)?;
        let (entry, task) = (evidence.entries.last(), evidence.task);
        rows[at].measured = entry.map(|entry| MeasuredPoint {
            ms: entry.summary().median,
            latency: entry.ratio(),
            held_out_loss: fitted.held_out().map(|h| h.loss()),
            held_out_agreement: fitted.held_out().and_then(|h| h.agreement()),
            top1: task.as_ref().and_then(|t| t.top1),
            agreement: task.as_ref().map(|t| t.agreement),
        });
    }
    Ok(rows)
}

/// The rows nearest to `count` latencies spread evenly over the curve, without the first.
fn spread(rows: &[ParetoRow], count: usize) -> Vec<usize> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Vec::new();
    };
    let mut found: Vec<usize> = (1..=count)
        .filter_map(|k| {
            let latency = |row: &ParetoRow| row.shares[Metric::Latency];
            let wish = latency(first) + (latency(last) - latency(first)) * k as f64 / count as f64;
            let far = |i: &usize| (latency(&rows[*i]) - wish).abs();
            (1..rows.len()).min_by(|a, b| far(a).total_cmp(&far(b)))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}
