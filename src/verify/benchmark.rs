//! Latencies of models side by side: interleaved, in fresh sessions, with the spread.

use super::entry::Entry;
use super::loaded::Loaded;
use super::race::{most_repeats, rounds, warm_up};
use crate::Result;
use crate::device::{NamedTensor, NodeClock, Timer};
use crate::profile::median;

/// Sets of fresh sessions: two sessions of one model differ by where their memory lies.
const SESSIONS: usize = 3;
/// Two sessions of one model on a GPU differ by about 1 %.
pub(crate) const CLEAR: f64 = 0.03;

/// What a benchmark may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Seconds of runs in all.
    pub seconds: f64,
    /// Sets of fresh sessions.
    pub sessions: usize,
    /// The first set serves again where all ratios differ from 1 by more than this: as much as sessions never differ by.
    pub clear: Option<f64>,
}

impl Effort {
    /// For what is reported.
    pub fn thorough(seconds: f64) -> Self {
        Self {
            seconds,
            sessions: SESSIONS,
            clear: None,
        }
    }

    /// For choosing between plans. A session on a GPU searches for algorithms, which takes longer than all of its runs.
    pub fn choosing(timer: &dyn Timer, seconds: f64) -> Self {
        match timer.node_clock() {
            NodeClock::Host => Self::thorough(seconds),
            NodeClock::Device => Self {
                sessions: 1,
                ..Self::thorough(seconds)
            },
        }
    }

    /// For what is reported. Kernels take the same time run after run, and sessions search for them.
    pub fn last(timer: &dyn Timer, seconds: f64) -> Self {
        match timer.node_clock() {
            NodeClock::Host => Self::thorough(seconds),
            NodeClock::Device => Self {
                sessions: 2,
                ..Self::thorough(seconds / 3.0)
            },
        }
    }

    /// The same where only a ratio near 1 needs a second set of sessions that take long to make.
    pub fn unless_clear(self, timer: &dyn Timer) -> Self {
        let on_device = timer.node_clock() == NodeClock::Device;
        Self {
            clear: on_device.then_some(CLEAR),
            ..self
        }
    }

    /// The same in one set of sessions.
    pub fn once(self) -> Self {
        Self {
            seconds: self.seconds / self.sessions.max(1) as f64,
            sessions: 1,
            ..self
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
    let effort = Effort::thorough(seconds);
    benchmark_beside(&mut Loaded::default(), timer, models, inputs, effort, &|_| {})
}

/// The same; the first set of sessions has those that stayed loaded, the last one stays loaded, and `report` is given how much of it is
/// done, from 0 to 1.
///
/// # Errors
/// When a model cannot be loaded or a run fails.
pub fn benchmark_beside(
    loaded: &mut Loaded,
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
        // Of models that are loaded anew another one is in this process each time.
        let mut sessions = loaded.take(timer, models, inputs, block % models.len().max(1))?;
        let most = *repeats.get_or_insert_with(|| most_repeats(&sessions));
        warm_up(&mut sessions, most)?;
        let part = |share: f64| report((block as f64 + share) / blocks as f64);
        rounds(&mut sessions, &mut entries, seconds / blocks as f64, block, &part)?;
        let mut last = block + 1 == blocks;
        if !last && effort.clear.is_some_and(|by| differ(&entries, by)) {
            let left = (blocks - block - 1) as f64 / blocks as f64;
            rounds(&mut sessions, &mut entries, seconds * left, block + 1, &|_| report(1.0))?;
            last = true;
        }
        if last {
            let both = models.iter().zip(sessions);
            both.for_each(|(model, session)| loaded.keep(model, session));
            break;
        }
    }
    Ok(entries)
}

/// Whether every other model's ratio differs from 1 by more than `by` beyond its noise.
pub(crate) fn differ(entries: &[Entry], by: f64) -> bool {
    let clear = |e: &Entry| (e.ratio() - 1.0).abs() - e.ratio_noise() > by;
    entries.len() > 1 && entries.iter().skip(1).all(clear)
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
            benchmark_beside(
                &mut Loaded::default(),
                timer,
                models,
                inputs,
                effort.part(workloads.len()),
                &part,
            )?,
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
