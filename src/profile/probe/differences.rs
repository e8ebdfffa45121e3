//! Layers of providers that compile whole graphs: what a chain takes longer with each layer than without it.

use super::attribution::Measured;
use super::model::{Probe, build};
use crate::Result;
use crate::device::{CpuFallback, TimedSession, Timer};
use crate::onnx::encode;
use crate::profile::problem::{Problem, ProducerLayout};
use crate::profile::samples::summarize;

/// All chains of a set run for so many milliseconds each: a difference is noisier than its parts.
const CHAIN_MS: f64 = 75.0;
/// A difference below this is the noise of two runs.
const LEAST_MS: f64 = 1e-4;
/// Chains that are in memory at a time.
const TOGETHER: usize = 8;

/// The chain without the layer depends on this alone.
#[derive(PartialEq)]
struct InputSide<'p> {
    batch: usize,
    channels: usize,
    space: &'p [usize],
    producer: ProducerLayout,
    dtype: &'p str,
}

impl<'p> InputSide<'p> {
    fn of(problem: &'p Problem) -> Self {
        Self {
            batch: problem.batch,
            channels: problem.cin,
            space: &problem.space,
            producer: problem.producer_layout,
            dtype: &problem.dtype,
        }
    }
}

/// The times of each problem, run by run: the chain with it less the chain without it in the same round.
///
/// # Errors
/// When a chain cannot be loaded or run.
pub(super) fn differences(timer: &dyn Timer, problems: &[Problem]) -> Result<Vec<Measured>> {
    let mut all = vec![Measured::default(); problems.len()];
    for set in sets(problems) {
        let first = &problems[set[0]];
        let mut chains = vec![load(timer, first, Probe::Without)?];
        for &k in &set {
            chains.push(load(timer, &problems[k], Probe::Pooled)?);
        }
        for round in rounds(&mut chains)? {
            for (&k, with) in set.iter().zip(&round[1..]) {
                all[k].samples.push(with - round[0]);
            }
        }
        let conditions = timer.conditions();
        for &k in &set {
            all[k].facts.conditions.clone_from(&conditions);
        }
    }
    for measured in &mut all {
        if summarize(&measured.samples).median < LEAST_MS {
            measured.samples.iter_mut().for_each(|ms| *ms = ms.max(LEAST_MS));
        }
    }
    Ok(all)
}

/// Indices of problems that share the chain without the layer.
fn sets(problems: &[Problem]) -> Vec<Vec<usize>> {
    let mut sets: Vec<Vec<usize>> = Vec::new();
    for (k, problem) in problems.iter().enumerate() {
        let side = InputSide::of(problem);
        let fits = |set: &&mut Vec<usize>| set.len() < TOGETHER && InputSide::of(&problems[set[0]]) == side;
        match sets.iter_mut().find(fits) {
            Some(set) => set.push(k),
            None => sets.push(vec![k]),
        }
    }
    sets
}

fn load(timer: &dyn Timer, problem: &Problem, probe: Probe) -> Result<Box<dyn TimedSession>> {
    let (model, inputs) = build(std::slice::from_ref(problem), probe);
    timer.load(&encode(&model), &inputs, CpuFallback::Allowed)
}

/// Milliseconds of all chains, round by round. The order rotates, so that none is always the first after another's data left the caches.
fn rounds(chains: &mut [Box<dyn TimedSession>]) -> Result<Vec<Vec<f64>>> {
    let mut once = 0.0;
    for chain in chains.iter_mut() {
        once += chain.run()?;
    }
    let count = (CHAIN_MS * chains.len() as f64 / once.max(1e-3)).clamp(16.0, 300.0) as usize;
    let mut rounds = Vec::new();
    for round in 0..count {
        let mut times = vec![0.0; chains.len()];
        for k in 0..chains.len() {
            let at = (k + round) % chains.len();
            times[at] = chains[at].run()?;
        }
        rounds.push(times);
    }
    Ok(rounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_behind_the_same_chain_are_timed_against_one() {
        let at = |cin, cout| Problem::plain(cin, cout, 8);
        let problems = [at(16, 8), at(24, 8), at(16, 16), at(16, 24), at(24, 16)];
        assert_eq!(sets(&problems), [vec![0, 2, 3], vec![1, 4]]);
        let many: Vec<Problem> = (1..=TOGETHER + 1).map(|cout| at(16, cout)).collect();
        assert_eq!(sets(&many).iter().map(Vec::len).collect::<Vec<_>>(), [TOGETHER, 1]);
        let other_batch = Problem { batch: 2, ..at(16, 8) };
        assert_eq!(sets(&[at(16, 8), other_batch]).len(), 2);
    }
}
