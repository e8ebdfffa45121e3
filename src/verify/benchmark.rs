//! Latencies of models side by side: interleaved, in fresh sessions, with the spread.

use std::time::Instant;

use super::entry::Entry;
use crate::Result;
use crate::device::{CpuFallback, NamedTensor, NodeClock, TimedSession, Timer};
use crate::profile::median;

/// Sets of fresh sessions: two sessions of one model differ by where their memory lies.
const SESSIONS: usize = 3;

/// What a benchmark may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Seconds of runs in all.
    pub seconds: f64,
    /// Sets of fresh sessions.
    pub sessions: usize,
}

impl Effort {
    /// For what is reported.
    pub fn thorough(seconds: f64) -> Self {
        Self {
            seconds,
            sessions: SESSIONS,
        }
    }

    /// For choosing between plans. A session on a GPU searches for algorithms, which takes longer than all of its runs.
    pub fn choosing(timer: &dyn Timer, seconds: f64) -> Self {
        match timer.node_clock() {
            NodeClock::Host => Self::thorough(seconds),
            NodeClock::Device => Self { seconds, sessions: 1 },
        }
    }

    /// For what is reported. Kernels take the same time run after run, and sessions search for them.
    pub fn last(timer: &dyn Timer, seconds: f64) -> Self {
        match timer.node_clock() {
            NodeClock::Host => Self::thorough(seconds),
            NodeClock::Device => Self {
                seconds: seconds / 3.0,
                sessions: 2,
            },
        }
    }

    /// The same for one of `parts`.
    fn part(self, parts: usize) -> Self {
        Self {
            seconds: self.seconds / parts as f64,
            ..self
        }
    }
}

/// Times `models` on the same inputs, round after round, for about `seconds` in all (at least 5
/// rounds a set of sessions). The order of a round rotates. Times of all models are means of the same number of runs.
///
/// # Errors
/// When a model cannot be loaded or a run fails.
pub fn benchmark(timer: &dyn Timer, models: &[&[u8]], inputs: &[NamedTensor], seconds: f64) -> Result<Vec<Entry>> {
    benchmark_reporting(timer, models, inputs, Effort::thorough(seconds), &|_| {})
}

/// The same; `report` is given how much of it is done, from 0 to 1.
fn benchmark_reporting(
    timer: &dyn Timer,
    models: &[&[u8]],
    inputs: &[NamedTensor],
    effort: Effort,
    report: &dyn Fn(f64),
) -> Result<Vec<Entry>> {
    let (seconds, blocks) = (effort.seconds, effort.sessions);
    let mut entries = vec![Entry::default(); models.len()];
    let mut repeats = None;
    for block in 0..blocks {
        let mut sessions = Vec::new();
        for model in models {
            sessions.push(timer.load(model, inputs, CpuFallback::Allowed)?);
        }
        let most = *repeats.get_or_insert_with(|| most_repeats(&sessions));
        warm_up(&mut sessions, most)?;
        let part = |share: f64| report((block as f64 + share) / blocks as f64);
        rounds(&mut sessions, &mut entries, seconds / blocks as f64, block, &part)?;
    }
    Ok(entries)
}

fn most_repeats(sessions: &[Box<dyn TimedSession>]) -> usize {
    sessions.iter().map(|s| s.repeats()).max().unwrap_or(1)
}

/// What a launch adds is shared by as many runs everywhere; it would be part of a ratio of unlike numbers.
fn warm_up(sessions: &mut [Box<dyn TimedSession>], repeats: usize) -> Result<()> {
    for session in sessions {
        session.set_repeats(repeats);
        for _ in 0..3 {
            session.run()?;
        }
    }
    Ok(())
}

/// Times loaded models in rounds of rotating order, from the `first`-th on, for about `seconds`, and adds to their entries.
fn rounds(
    sessions: &mut [Box<dyn TimedSession>],
    entries: &mut [Entry],
    seconds: f64,
    first: usize,
    report: &dyn Fn(f64),
) -> Result<()> {
    let from = entries[0].ratios.len();
    let start = Instant::now();
    let mut round = 0;
    while round < 5 || (start.elapsed().as_secs_f64() < seconds && round < 400) {
        report((start.elapsed().as_secs_f64() / seconds.max(1e-9)).min(1.0));
        let mut times = vec![0.0; sessions.len()];
        for k in 0..sessions.len() {
            let at = (k + round + first) % sessions.len();
            times[at] = sessions[at].run()?;
        }
        for (entry, &time) in entries.iter_mut().zip(&times) {
            entry.samples.push(time);
            entry.ratios.push(time / times[0]);
        }
        round += 1;
    }
    for entry in entries {
        entry.block_ratios.push(median(&entry.ratios[from..]));
        entry.block_ms.push(median(&entry.samples[from..]));
    }
    Ok(())
}

/// Times sessions side by side, whatever they run and wherever, for about `seconds`; ratios are to the first.
///
/// # Errors
/// When a run fails.
pub fn race(sessions: &mut [Box<dyn TimedSession>], seconds: f64) -> Result<Vec<Entry>> {
    let mut entries = vec![Entry::default(); sessions.len()];
    if !sessions.is_empty() {
        let most = most_repeats(sessions);
        warm_up(sessions, most)?;
        rounds(sessions, &mut entries, seconds, 0, &|_| {})?;
    }
    Ok(entries)
}

/// Benchmarks models, interleaved, on several workloads (inputs and their weight): every time is the weighted sum over the workloads, and
/// so are the ratios. `report` is given how much of how much is done.
///
/// # Errors
/// When a model cannot be loaded or a run fails.
pub fn benchmark_workloads(
    timer: &dyn Timer,
    models: &[&[u8]],
    workloads: &[(Vec<NamedTensor>, f64)],
    effort: Effort,
    report: &dyn Fn(usize, usize),
) -> Result<Vec<Entry>> {
    let mut benchmarked = Vec::new();
    let most = 100 * workloads.len();
    for (k, (inputs, weight)) in workloads.iter().enumerate() {
        let part = |share: f64| report(100 * k + (100.0 * share) as usize, most);
        benchmarked.push((
            benchmark_reporting(timer, models, inputs, effort.part(workloads.len()), &part)?,
            *weight,
        ));
    }
    report(most, most);
    if let [(_, _)] = benchmarked.as_slice() {
        return Ok(benchmarked.remove(0).0);
    }
    Ok((0..models.len()).map(|k| weighted(&benchmarked, k)).collect())
}

/// Model `k` over all workloads.
fn weighted(benchmarked: &[(Vec<Entry>, f64)], k: usize) -> Entry {
    let rounds = benchmarked
        .iter()
        .map(|(entries, _)| entries[k].samples.len())
        .min()
        .unwrap_or(0);
    let sum = |k: usize, round: usize| {
        benchmarked
            .iter()
            .map(|(entries, w)| w * entries[k].samples[round])
            .sum::<f64>()
    };
    let shares: Vec<f64> = benchmarked
        .iter()
        .map(|(entries, w)| w * median(&entries[0].samples))
        .collect();
    let whole: f64 = shares.iter().sum();
    let block = |b: usize| {
        let parts = benchmarked
            .iter()
            .zip(&shares)
            .map(|((entries, _), s)| s * entries[k].block_ratios[b]);
        parts.sum::<f64>() / whole
    };
    let ms = |b: usize| {
        benchmarked
            .iter()
            .map(|(entries, w)| w * entries[k].block_ms[b])
            .sum::<f64>()
    };
    let blocks = benchmarked
        .first()
        .map_or(0, |(entries, _)| entries[k].block_ratios.len());
    Entry {
        samples: (0..rounds).map(|r| sum(k, r)).collect(),
        ratios: (0..rounds).map(|r| sum(k, r) / sum(0, r)).collect(),
        block_ratios: (0..blocks).map(block).collect(),
        block_ms: (0..blocks).map(ms).collect(),
    }
}

#[cfg(test)]
mod tests;
