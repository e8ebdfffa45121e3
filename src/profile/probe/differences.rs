//! Layers of providers that compile whole graphs: what a chain takes longer with each layer than without it.

use super::attribution::Measured;
use super::model::{Probe, build};
use crate::device::{CpuFallback, TimedSession, Timer, one_round};
use crate::onnx::encode;
use crate::profile::problem::{Problem, ProducerLayout};
use crate::profile::samples::median;
use crate::{Error, Result};

/// All chains of a set run for so many milliseconds each: a difference is noisier than its parts.
const CHAIN_MS: f64 = 75.0;
/// The same for the reference chain.
const REFERENCE_MS: f64 = 15.0;
/// Runs of the smallest chain.
const CALLS: usize = 100;
/// A difference below this is the noise of two runs: no layer takes less, and a median above it stays what it is.
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

/// A chain that is timed before and after others, so that times of other minutes can be compared with theirs: machines are not as fast in
/// one minute as in the next.
pub struct Reference {
    /// None where the provider refuses it.
    chain: Option<Box<dyn TimedSession>>,
    /// Milliseconds, the median of each time that it was asked for.
    medians: Vec<f64>,
}

impl Reference {
    /// Loads it.
    ///
    /// # Errors
    /// When the job is asked to stop.
    pub fn new(timer: &dyn Timer) -> Result<Self> {
        let chain = match load(timer, &Problem::plain(64, 64, 14), Probe::Pooled) {
            Err(Error::Stopped) => return Err(Error::Stopped),
            loaded => loaded.ok(),
        };
        let medians = Vec::new();
        Ok(Self { chain, medians })
    }

    /// Runs it some times in a row: what ran before it is then out of the caches.
    ///
    /// # Errors
    /// When a run fails.
    pub fn run(&mut self) -> Result<()> {
        let Some(chain) = &mut self.chain else {
            return Ok(());
        };
        let once = chain.run()?.max(1e-3);
        let count = (REFERENCE_MS / once).clamp(8.0, 60.0) as usize;
        let times = (0..count).map(|_| chain.run()).collect::<Result<Vec<f64>>>()?;
        self.medians.push(median(&times));
        Ok(())
    }

    /// Milliseconds of a run, once it ran.
    pub fn ms(&self) -> Option<f64> {
        (!self.medians.is_empty()).then(|| median(&self.medians))
    }
}

/// Milliseconds of a run in which next to nothing is computed: what it takes to call the provider, whatever the model. 0 where the provider
/// refuses such a model.
///
/// # Errors
/// When the job is asked to stop, or a run fails.
pub fn call_ms(timer: &dyn Timer) -> Result<f64> {
    let mut chain = match load(timer, &Problem::plain(1, 1, 1), Probe::Without) {
        Err(Error::Stopped) => return Err(Error::Stopped),
        Err(_) => return Ok(0.0),
        Ok(chain) => chain,
    };
    let times = (0..CALLS).map(|_| chain.run()).collect::<Result<Vec<f64>>>()?;
    Ok(median(&times))
}

/// The times of each problem, run by run: the chain with it less the chain without it in the same round.
///
/// # Errors
/// When a chain cannot be loaded or run.
pub(super) fn differences(timer: &dyn Timer, problems: &[Problem]) -> Result<Vec<Measured>> {
    let mut all = vec![Measured::default(); problems.len()];
    for set in sets(problems) {
        let mut reference = Reference::new(timer)?;
        let first = &problems[set[0]];
        let mut chains = vec![load(timer, first, Probe::Without)?];
        for &k in &set {
            chains.push(load(timer, &problems[k], Probe::Pooled)?);
        }
        reference.run()?;
        for round in rounds(&mut chains)? {
            for (&k, with) in set.iter().zip(&round[1..]) {
                all[k].samples.push((with - round[0]).max(LEAST_MS));
            }
        }
        reference.run()?;
        let conditions = timer.conditions();
        for &k in &set {
            all[k].facts.conditions.clone_from(&conditions);
            all[k].facts.reference_ms = reference.ms();
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

/// Milliseconds of all chains, round by round, in rotating order.
fn rounds(chains: &mut [Box<dyn TimedSession>]) -> Result<Vec<Vec<f64>>> {
    let once: f64 = one_round(chains, 0)?.iter().sum();
    let count = (CHAIN_MS * chains.len() as f64 / once.max(1e-3)).clamp(16.0, 300.0) as usize;
    (0..count).map(|round| one_round(chains, round)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::Attributes;
    use crate::onnx::proto::NodeProto;

    /// Extents that a pool over a map of `side` places looks at, and that it makes.
    fn looked_at(pool: &NodeProto, side: usize) -> (i64, i64) {
        let first = |name: &str| pool.ints(name).unwrap()[0];
        let places = (side as i64 - first("kernel_shape")) / first("strides") + 1;
        (first("kernel_shape") * places, places)
    }

    #[test]
    fn both_chains_end_in_a_corner_of_what_they_make() {
        let strided = |side| Problem {
            lists: vec![("strides".to_owned(), vec![2; 2]), ("pads".to_owned(), vec![1; 4])],
            ..Problem::plain(24, 96, side)
        };
        for (side, halved) in [(56, 28), (9, 5), (2, 1), (1, 1)] {
            let problem = [strided(side)];
            for (probe, extent, channels) in [(Probe::Without, side, 24), (Probe::Pooled, halved, 96)] {
                let graph = build(&problem, probe).0.graph.unwrap();
                let [.., corner, end] = &graph.node[..] else { panic!() };
                assert_eq!((corner.op_type(), end.op_type()), ("MaxPool", "Conv"));
                let (read, places) = looked_at(corner, extent);
                assert!(read <= 2 && places == 1, "{extent}: {read} read, {places} made");
                let weight = graph.initializer.iter().find(|w| w.name() == end.input[1]).unwrap();
                assert_eq!(weight.dims[1..], [channels, 1, 1]);
                assert_eq!(graph.output[0].name(), end.output[0]);
            }
        }
    }

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
