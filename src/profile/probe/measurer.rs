//! Measuring the problems of one session.

use super::attribution::{Measured, attribute, own_kernels};
use super::differences::differences;
use super::model::{Probe, build};
use crate::device::{CpuFallback, Kernel, ModelRun, NamedTensor, NodeClock, NodeRuns, NodeTime, Timer};
use crate::onnx::encode;
use crate::profile::problem::Problem;
use crate::profile::record::{Record, RecordFacts};
use crate::profile::samples::summarize;
use crate::{Error, Result};

/// Measures the problems of sessions that are loaded together.
pub(super) fn measure(timer: &dyn Timer, sessions: &[Vec<Problem>]) -> Result<Vec<Record>> {
    if let [problems] = sessions {
        return measure_one(timer, problems);
    }
    measure_together(timer, sessions, &mut || Ok(()))
}

/// Measures the problems of sessions that are loaded together; `loaded` is called when nothing is left but to time them.
///
/// # Errors
/// When a probe cannot run, and those of `loaded`.
pub fn measure_together(
    timer: &dyn Timer,
    sessions: &[Vec<Problem>],
    loaded: &mut dyn FnMut() -> Result<()>,
) -> Result<Vec<Record>> {
    let probes: Vec<_> = sessions.iter().map(|problems| side_by_side(problems)).collect();
    let runs: Vec<ModelRun> = probes
        .iter()
        .map(|(model, inputs)| ModelRun { model, inputs })
        .collect();
    let timed = timer.node_times_of_all(&runs, node_runs(NodeClock::Device, KERNEL_RUNS), loaded)?;
    let mut records = Vec::new();
    for (problems, nodes) in sessions.iter().zip(timed) {
        records.extend(match nodes {
            Some(nodes) => recorded(problems, attributed(timer, problems, &nodes, KERNEL_RUNS)?),
            None => measure_one(timer, problems)?,
        });
    }
    Ok(records)
}

/// The model of problems whose kernels are timed, and its inputs.
fn side_by_side(problems: &[Problem]) -> (Vec<u8>, Vec<NamedTensor>) {
    let (model, inputs) = build(problems, Probe::SideBySide);
    (encode(&model), inputs)
}

fn node_runs(clock: NodeClock, timed: usize) -> NodeRuns {
    NodeRuns {
        warmup: 3,
        timed,
        fallback: match clock {
            NodeClock::Host => CpuFallback::Allowed,
            NodeClock::Device => CpuFallback::Forbidden,
        },
    }
}

fn recorded(problems: &[Problem], measured: Vec<Measured>) -> Vec<Record> {
    let record = |(problem, measured): (&Problem, Measured)| Record {
        problem: problem.clone(),
        samples: measured.samples,
        facts: measured.facts,
    };
    problems.iter().zip(measured).map(record).collect()
}

/// Runs one session's problems until the spread of each is small, or three times.
fn measure_one(timer: &dyn Timer, problems: &[Problem]) -> Result<Vec<Record>> {
    let size: f64 = problems.iter().map(Problem::size).sum();
    // Some 30 multiply-accumulates a nanosecond: a sample of 40 ms a problem, 8 to 40 runs.
    let expected_ms = size / 30e6;
    let runs = (40.0 * problems.len() as f64 / expected_ms.max(1e-3)).clamp(8.0, 40.0) as usize;
    let (rounds, runs) = match timer.node_clock() {
        NodeClock::Host if timer.compiles_graphs() => (COMPILED_ROUNDS, runs),
        NodeClock::Host => (ROUNDS, runs),
        NodeClock::Device => (1, KERNEL_RUNS),
    };
    let mut all = vec![Measured::default(); problems.len()];
    for _ in 0..rounds {
        for (measured, new) in all.iter_mut().zip(sample(timer, problems, runs)?) {
            // As fast as the machine was in the first round.
            let pace = measured.facts.reference_ms.zip(new.facts.reference_ms);
            let factor = pace.map_or(1.0, |(first, now)| first / now);
            measured.samples.extend(new.samples.iter().map(|ms| ms * factor));
            let reference_ms = measured.facts.reference_ms.or(new.facts.reference_ms);
            measured.facts = RecordFacts {
                reference_ms,
                ..new.facts
            };
        }
        let steady = all.iter().all(|measured| {
            let summary = summarize(&measured.samples);
            summary.half_width() <= HALF_WIDTH * summary.median
        });
        if steady {
            break;
        }
    }
    Ok(recorded(problems, all))
}

/// A session is sampled again until the 95 % interval of every median is within 2 %, or so many times.
const ROUNDS: usize = 4;
/// Where sessions compile their graph, making them takes longer than their runs.
const COMPILED_ROUNDS: usize = 2;
/// Kernels take the same time in each of so many runs; a session takes much longer to make.
const KERNEL_RUNS: usize = 15;
/// A trace that others disturb is taken so many times more.
const AGAIN: usize = 2;
const HALF_WIDTH: f64 = 0.01;

/// The times of each problem, run by run, and what ran.
pub(super) fn sample(timer: &dyn Timer, problems: &[Problem], runs: usize) -> Result<Vec<Measured>> {
    let clock = timer.node_clock();
    let (model, inputs) = match clock {
        NodeClock::Host => {
            let (model, inputs) = build(problems, Probe::Chained);
            (encode(&model), inputs)
        }
        NodeClock::Device => side_by_side(problems),
    };
    let node_runs = node_runs(clock, runs);
    let mut nodes = timer.node_times(&model, &inputs, node_runs)?;
    for _ in 0..AGAIN {
        if nodes.is_some() || clock == NodeClock::Host {
            break;
        }
        nodes = timer.node_times(&model, &inputs, node_runs)?;
    }
    if nodes.is_none() && clock == NodeClock::Device {
        return Err(Error::device(
            "kernels do not belong to the layers that were run: something else in this process uses the GPU".to_owned(),
        ));
    }
    if let Some(nodes) = nodes {
        return attributed(timer, problems, &nodes, runs);
    }
    if timer.compiles_graphs() {
        return differences(timer, problems);
    }
    // Whole models only: one session a problem, the layer alone, runs interleaved.
    let mut sessions = Vec::new();
    for problem in problems {
        let (model, inputs) = build(std::slice::from_ref(problem), Probe::Alone);
        sessions.push(timer.load(&encode(&model), &inputs, CpuFallback::Forbidden)?);
    }
    let mut samples = vec![Vec::new(); problems.len()];
    for _ in 0..runs.min(12) {
        for (session, times) in sessions.iter_mut().zip(&mut samples) {
            times.push(session.run()?);
        }
    }
    let conditions = timer.conditions();
    let facts = RecordFacts {
        conditions,
        ..RecordFacts::default()
    };
    let measured = |samples| Measured {
        samples,
        facts: facts.clone(),
    };
    Ok(samples.into_iter().map(measured).collect())
}

/// The time of each problem's layer in the times of a probe's nodes.
fn attributed(timer: &dyn Timer, problems: &[Problem], nodes: &[NodeTime], runs: usize) -> Result<Vec<Measured>> {
    let clock = timer.node_clock();
    let mut measured = match clock {
        NodeClock::Host => attribute(nodes, problems.len(), runs),
        NodeClock::Device => own_kernels(nodes, problems.len(), runs),
    };
    let conditions = timer.conditions();
    measured
        .iter_mut()
        .for_each(|m| m.facts.conditions.clone_from(&conditions));
    if clock == NodeClock::Device && measured.iter().any(|m| m.samples.iter().all(|&ms| ms <= 0.0)) {
        return Err(Error::device(
            "a layer took no time: its node was not found in the profile".to_owned(),
        ));
    }
    Ok(measured)
}

/// The kernels of one run of a problem, where the device tells them.
///
/// # Errors
/// When the problem cannot be run or the trace fails.
pub(super) fn kernels(timer: &dyn Timer, problem: &Problem) -> Result<Vec<Kernel>> {
    let (model, inputs) = build(std::slice::from_ref(problem), Probe::Alone);
    Ok(timer.kernels(&encode(&model), &inputs)?.unwrap_or_default())
}

/// Runs one small convolution on a device; its time in milliseconds.
///
/// # Errors
/// When the device cannot.
pub fn smoke(timer: &dyn Timer, fallback: CpuFallback) -> Result<f64> {
    let (model, inputs) = build(&[Problem::plain(16, 16, 8)], Probe::Alone);
    timer.load(&encode(&model), &inputs, fallback)?.run()
}
