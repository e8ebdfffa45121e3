//! Whole models of several plans, side by side.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::candidate::Candidate;
use crate::Result;
use crate::device::{CpuFallback, Loading, ModelRun, NamedTensor, NodeClock, TimedSession, Timer, load_all};
use crate::optimize::session::Session;
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
        let kept: Vec<Option<Box<dyn TimedSession>>> = hashes.iter().map(|hash| self.0.remove(hash)).collect();
        let missing = models.iter().zip(&kept).filter(|(_, kept)| kept.is_none());
        let loadings: Vec<Loading> = missing
            .map(|(&model, _)| Loading {
                timer,
                run: ModelRun { model, inputs },
            })
            .collect();
        let mut loaded = load_all(&loadings, CpuFallback::Allowed).into_iter();
        let mut sessions = Vec::new();
        for session in kept {
            sessions.extend(match session {
                Some(session) => Some(session),
                None => loaded.next().transpose()?,
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
pub(super) fn measure(
    session: &Session,
    loaded: &mut Loaded,
    plans: &[Candidate],
    seconds: f64,
) -> Result<Vec<Comparison>> {
    if plans.is_empty() {
        return Ok(Vec::new());
    }
    let models = plans.iter().map(|c| c.model.as_slice());
    let entries: Vec<&[u8]> = std::iter::once(session.timed_original.as_slice())
        .chain(models)
        .collect();
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
