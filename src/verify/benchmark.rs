//! Latencies of models side by side: interleaved, in fresh sessions, with the spread.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::device::{Device, Named};
use crate::profile::{Summary, median, summarize};

/// One model's times.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Every time, in milliseconds.
    pub samples: Vec<f64>,
    /// Time over the first model's time of the same round.
    pub ratios: Vec<f64>,
    /// The median ratio of each block; every block has fresh sessions.
    pub block_ratios: Vec<f64>,
    /// The median time of each block, in milliseconds.
    pub block_ms: Vec<f64>,
}

/// How a model compares with the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Faster beyond the noise.
    Faster,
    /// The difference is within the noise.
    Same,
    /// Slower beyond the noise.
    Slower,
}

impl Entry {
    /// Summary of the times.
    pub fn summary(&self) -> Summary {
        summarize(&self.samples)
    }

    /// Median of the ratios to the first model.
    pub fn ratio(&self) -> f64 {
        median(&self.ratios)
    }

    /// Half the width of a 95 % interval of the ratio, at least 0.5 %.
    pub fn ratio_noise(&self) -> f64 {
        summarize(&self.ratios).half_width().max(0.005)
    }

    /// By how much the slowest block took longer than the fastest, as a share.
    pub fn drift(&self) -> Option<f64> {
        let least = self.block_ms.iter().copied().reduce(f64::min)?;
        let most = self.block_ms.iter().copied().reduce(f64::max)?;
        Some(most / least.max(1e-12) - 1.0)
    }

    /// Faster only if the interval lies below 1 and so does every block.
    pub fn verdict(&self) -> Verdict {
        let (ratio, noise) = (self.ratio(), self.ratio_noise());
        if ratio + noise < 1.0 && self.block_ratios.iter().all(|&r| r < 1.0) {
            Verdict::Faster
        } else if ratio - noise > 1.0 && self.block_ratios.iter().all(|&r| r > 1.0) {
            Verdict::Slower
        } else {
            Verdict::Same
        }
    }
}

/// Blocks of fresh sessions: two sessions of one model differ by where their memory lies.
const BLOCKS: usize = 3;

/// Times `models` on the same inputs, round after round, for about `seconds` in all (at least 5
/// rounds a block). The order of a round rotates. Times of all models are means of the same number of runs.
///
/// # Errors
/// When a model cannot be loaded or a run fails.
pub fn benchmark(device: &dyn Device, models: &[&[u8]], inputs: &[Named], seconds: f64) -> Result<Vec<Entry>> {
    benchmark_reporting(device, models, inputs, seconds, &|_| {})
}

/// The same; `told` hears how much of it is done, from 0 to 1.
fn benchmark_reporting(
    device: &dyn Device,
    models: &[&[u8]],
    inputs: &[Named],
    seconds: f64,
    told: &dyn Fn(f64),
) -> Result<Vec<Entry>> {
    let mut entries = vec![
        Entry {
            samples: vec![],
            ratios: vec![],
            block_ratios: vec![],
            block_ms: vec![],
        };
        models.len()
    ];
    let mut repeats = None;
    for block in 0..BLOCKS {
        let mut sessions = Vec::new();
        for model in models {
            sessions.push(device.load(model, inputs, false)?);
        }
        // What a launch adds is shared by so many runs; it would be part of a ratio of unlike numbers.
        let most = *repeats.get_or_insert_with(|| sessions.iter().map(|s| s.repeats()).max().unwrap_or(1));
        sessions.iter_mut().for_each(|s| s.set_repeats(most));
        for session in &mut sessions {
            for _ in 0..3 {
                session.run()?;
            }
        }
        let from = entries[0].ratios.len();
        let start = Instant::now();
        let mut round = 0;
        while round < 5 || (start.elapsed().as_secs_f64() < seconds / BLOCKS as f64 && round < 400) {
            let share = start.elapsed().as_secs_f64() * BLOCKS as f64 / seconds.max(1e-9);
            told((block as f64 + share.min(1.0)) / BLOCKS as f64);
            let mut times = vec![0.0; models.len()];
            for k in 0..models.len() {
                let at = (k + round + block) % models.len();
                times[at] = sessions[at].run()?;
            }
            for (entry, &time) in entries.iter_mut().zip(&times) {
                entry.samples.push(time);
                entry.ratios.push(time / times[0]);
            }
            round += 1;
        }
        for entry in &mut entries {
            entry.block_ratios.push(median(&entry.ratios[from..]));
            entry.block_ms.push(median(&entry.samples[from..]));
        }
    }
    Ok(entries)
}

/// Races models on several workloads (inputs and their weight): every time is the weighted sum over the workloads, and
/// so are the ratios. `told` hears how much of how much is done.
///
/// # Errors
/// When a model cannot be loaded or a run fails.
pub fn benchmark_workloads(
    device: &dyn Device,
    models: &[&[u8]],
    workloads: &[(Vec<Named>, f64)],
    seconds: f64,
    told: &dyn Fn(usize, usize),
) -> Result<Vec<Entry>> {
    let mut benchmarked = Vec::new();
    let most = 100 * workloads.len();
    for (k, (inputs, weight)) in workloads.iter().enumerate() {
        let part = |share: f64| told(100 * k + (100.0 * share) as usize, most);
        benchmarked.push((
            benchmark_reporting(device, models, inputs, seconds / workloads.len() as f64, &part)?,
            *weight,
        ));
    }
    told(most, most);
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
    Entry {
        samples: (0..rounds).map(|r| sum(k, r)).collect(),
        ratios: (0..rounds).map(|r| sum(k, r) / sum(0, r)).collect(),
        block_ratios: (0..BLOCKS).map(block).collect(),
        block_ms: (0..BLOCKS).map(ms).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::{BLOCKS, Entry, Verdict, benchmark};
    use crate::Result;
    use crate::device::{Device, DeviceInfo, Named, NodeTime, Runner, Timed};

    /// A device on which a launch takes time that runs behind it hide, and whose sessions choose for themselves how many they time
    /// together. A model is its time in milliseconds, and the runs that its next sessions choose.
    struct Launching(RefCell<Vec<usize>>, DeviceInfo);

    struct Session {
        ms: f64,
        repeats: usize,
    }

    const LAUNCH: f64 = 0.5;

    impl Timed for Session {
        fn run(&mut self) -> Result<f64> {
            Ok(self.ms + LAUNCH / self.repeats as f64)
        }

        fn repeats(&self) -> usize {
            self.repeats
        }

        fn set_repeats(&mut self, repeats: usize) {
            self.repeats = repeats;
        }
    }

    impl Device for Launching {
        fn info(&self) -> &DeviceInfo {
            &self.1
        }

        fn load(&self, model: &[u8], _: &[Named], _: bool) -> Result<Box<dyn Timed>> {
            let repeats = self.0.borrow_mut().pop().unwrap();
            let ms = f64::from(model[0]);
            Ok(Box::new(Session { ms, repeats }))
        }

        fn outputs(&self, _: &[u8], _: &[Named]) -> Result<Vec<Named>> {
            unreachable!()
        }

        fn outputs_plain(&self, _: &[u8], _: &[Named]) -> Result<Vec<Named>> {
            unreachable!()
        }

        fn runner(&self, _: &[u8]) -> Result<Runner> {
            unreachable!()
        }

        fn node_times(&self, _: &[u8], _: &[Named], _: usize, _: usize) -> Result<Option<Vec<NodeTime>>> {
            unreachable!()
        }
    }

    #[test]
    fn models_of_a_race_are_timed_in_runs_of_the_same_number() {
        // Sessions of one model, near the length at which two runs are timed in place of one.
        let chosen = vec![1, 1, 2, 1, 1, 2];
        assert_eq!(chosen.len(), 2 * BLOCKS);
        let device = Launching(RefCell::new(chosen), DeviceInfo::default());
        let entries = benchmark(&device, &[&[2], &[2]], &[], 0.0).unwrap();
        assert!(entries[1].ratios.iter().all(|&r| r == 1.0), "{:?}", entries[1].ratios);
        assert_eq!(entries[0].drift(), Some(0.0), "{:?}", entries[0].block_ms);
        assert!(entries[0].samples.iter().all(|&s| s == 2.0 + LAUNCH / 2.0));
    }

    fn entry(ratios: &[f64], blocks: &[f64]) -> Entry {
        Entry {
            samples: vec![],
            ratios: ratios.to_vec(),
            block_ratios: blocks.to_vec(),
            block_ms: vec![],
        }
    }

    #[test]
    fn a_difference_within_the_noise_is_no_difference() {
        assert_eq!(
            entry(&[0.999, 1.0, 0.998], &[0.999, 1.0, 0.998]).verdict(),
            Verdict::Same
        );
        assert_eq!(entry(&[0.9, 0.91, 0.89], &[0.9, 0.91, 0.89]).verdict(), Verdict::Faster);
        assert_eq!(entry(&[1.1, 1.11, 1.09], &[1.1, 1.11, 1.09]).verdict(), Verdict::Slower);
    }

    #[test]
    fn loads_count_by_their_weight_and_time() {
        let load = |ms: [f64; 2]| -> Vec<Entry> {
            let entry = |t: f64| Entry {
                samples: vec![t; 4],
                ratios: vec![t / ms[0]; 4],
                block_ratios: vec![t / ms[0]; 3],
                block_ms: vec![t; 3],
            };
            ms.map(entry).to_vec()
        };
        let benchmarked = [(load([1.0, 0.5]), 0.5), (load([3.0, 3.0]), 0.5)];
        let both = super::weighted(&benchmarked, 1);
        assert_eq!(both.samples, [1.75; 4]);
        assert_eq!(both.ratio(), 1.75 / 2.0);
        assert_eq!(both.block_ratios, [1.75 / 2.0; 3]);
        assert_eq!((both.block_ms.clone(), both.drift()), (vec![1.75; 3], Some(0.0)));
        assert_eq!(both.verdict(), Verdict::Faster);
    }

    #[test]
    fn one_block_against_it_takes_the_claim_away() {
        assert_eq!(entry(&[0.9, 0.9, 0.9, 1.01], &[0.9, 1.01]).verdict(), Verdict::Same);
    }
}
