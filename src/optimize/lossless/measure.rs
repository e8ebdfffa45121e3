//! Whole models of several plans, side by side.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::device::{CpuFallback, NamedTensor, NodeClock, TimedSession, Timer};
use crate::onnx::encode;
use crate::optimize::session::Session;
use crate::plan::Plan;
use crate::profile::{remembered, whole_key};
use crate::verify::{Effort, Entry, Verdict, benchmark_workloads, race};

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

/// Models that stay loaded between benchmarks, by their bytes' hash: making a session on a GPU takes longer than its runs.
#[derive(Default)]
pub(super) struct Loaded(HashMap<blake3::Hash, Box<dyn TimedSession>>);

impl Loaded {
    /// Times models side by side. The first and the fastest stay loaded.
    fn race(
        &mut self,
        timer: &dyn Timer,
        models: &[&[u8]],
        inputs: &[NamedTensor],
        seconds: f64,
    ) -> Result<Vec<Entry>> {
        let hashes: Vec<blake3::Hash> = models.iter().map(|m| blake3::hash(m)).collect();
        let mut sessions = Vec::new();
        for (hash, model) in hashes.iter().zip(models) {
            sessions.push(match self.0.remove(hash) {
                Some(session) => session,
                None => timer.load(model, inputs, CpuFallback::Allowed)?,
            });
        }
        let entries = race(&mut sessions, seconds)?;
        let fastest = (1..entries.len()).min_by(|&a, &b| entries[a].ratio().total_cmp(&entries[b].ratio()));
        self.0.clear();
        for (k, (hash, session)) in hashes.into_iter().zip(sessions).enumerate() {
            if k == 0 || Some(k) == fastest {
                self.0.insert(hash, session);
            }
        }
        Ok(entries)
    }
}

/// Benchmarks plans with the original, for so many seconds.
pub(super) fn measure(session: &Session, loaded: &mut Loaded, plans: &[Plan], seconds: f64) -> Result<Vec<Comparison>> {
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
        let entries = match (timer.node_clock(), session.inputs.as_slice()) {
            (NodeClock::Device, [(inputs, _)]) => loaded.race(timer, &entries, inputs, seconds)?,
            _ => {
                let effort = Effort::choosing(timer, seconds);
                benchmark_workloads(timer, &entries, &session.inputs, effort, &|_, _| {})?
            }
        };
        let measured = entries.iter().skip(1).map(|e| Comparison {
            ratio: e.ratio(),
            verdict: e.verdict(),
        });
        Ok(measured.collect())
    })
}
