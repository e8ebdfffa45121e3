//! Whole models of several plans, side by side.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::onnx::encode;
use crate::optimize::session::Session;
use crate::plan::Plan;
use crate::profile::{remembered, whole_key};
use crate::verify::{Effort, Verdict, benchmark_workloads};

/// How a plan's model compares with the original.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(from = "(f64, Verdict)", into = "(f64, Verdict)")]
pub(super) struct Comparison {
    /// Latency over the original's.
    pub ratio: f64,
    pub verdict: Verdict,
}

impl From<(f64, Verdict)> for Comparison {
    fn from((ratio, verdict): (f64, Verdict)) -> Self {
        Self { ratio, verdict }
    }
}

impl From<Comparison> for (f64, Verdict) {
    fn from(measured: Comparison) -> Self {
        (measured.ratio, measured.verdict)
    }
}

/// Benchmarks plans with the original, for so many seconds.
pub(super) fn measure(session: &Session, plans: &[Plan], seconds: f64) -> Result<Vec<Comparison>> {
    if plans.is_empty() {
        return Ok(Vec::new());
    }
    let mut models = vec![session.original.clone()];
    for plan in plans {
        models.push(encode(&session.rewritten(plan)?));
    }
    let entries: Vec<&[u8]> = models.iter().map(Vec::as_slice).collect();
    let key = whole_key("race", &entries, &session.inputs, seconds);
    remembered(&session.prober, &key, || {
        let timer = session.timer()?;
        let effort = Effort::choosing(timer, seconds);
        let entries = benchmark_workloads(timer, &entries, &session.inputs, effort, &|_, _| {})?;
        let measured = entries.iter().skip(1).map(|e| Comparison {
            ratio: e.ratio(),
            verdict: e.verdict(),
        });
        Ok(measured.collect())
    })
}
