//! Whole models of several plans, side by side.

use serde::{Deserialize, Serialize};

use super::candidate::Candidate;
use crate::Result;
use crate::optimize::session::Session;
use crate::profile::{remembered, whole_key};
use crate::verify::Verdict;

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
pub(super) fn measure(session: &Session, plans: &[Candidate], seconds: f64) -> Result<Vec<Comparison>> {
    if plans.is_empty() {
        return Ok(Vec::new());
    }
    let models = plans.iter().map(|c| c.model.as_slice());
    let entries: Vec<&[u8]> = std::iter::once(session.timed_original()).chain(models).collect();
    let key = whole_key("race", &entries, &session.inputs, seconds);
    remembered(&session.prober, &key, || {
        let measured = session
            .race(&entries, seconds)?
            .into_iter()
            .skip(1)
            .map(|e| Comparison {
                ratio: e.ratio(),
                verdict: e.verdict(),
            });
        Ok(measured.collect())
    })
}
