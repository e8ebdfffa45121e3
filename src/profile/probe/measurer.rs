//! Measuring the problems of one session.

use super::attribution::{Measured, attribute};
use super::model::{Probe, build};
use crate::Result;
use crate::device::{CpuFallback, Kernel, NodeRuns, Timer};
use crate::onnx::encode;
use crate::profile::problem::Problem;
use crate::profile::record::{Record, RecordFacts};
use crate::profile::samples::summarize;

/// Runs one session's problems until the spread of each is small, or three times.
pub(super) fn measure(timer: &dyn Timer, problems: &[Problem]) -> Result<Vec<Record>> {
    let size: f64 = problems.iter().map(Problem::size).sum();
    // Some 30 multiply-accumulates a nanosecond: a sample of 40 ms a problem, 8 to 40 runs.
    let expected_ms = size / 30e6;
    let runs = (40.0 * problems.len() as f64 / expected_ms.max(1e-3)).clamp(8.0, 40.0) as usize;
    let mut all = vec![Measured::default(); problems.len()];
    for _ in 0..ROUNDS {
        for (measured, new) in all.iter_mut().zip(sample(timer, problems, runs)?) {
            measured.samples.extend(new.samples);
            measured.facts = new.facts;
        }
        let steady = all.iter().all(|measured| {
            let summary = summarize(&measured.samples);
            summary.half_width() <= HALF_WIDTH * summary.median
        });
        if steady {
            break;
        }
    }
    let record = |(problem, measured): (&Problem, Measured)| Record {
        problem: problem.clone(),
        samples: measured.samples,
        facts: measured.facts,
    };
    Ok(problems.iter().zip(all).map(record).collect())
}

/// A session is sampled again until the 95 % interval of every median is within 2 %, or so many times.
const ROUNDS: usize = 4;
const HALF_WIDTH: f64 = 0.01;

/// The times of each problem, run by run, and what ran.
pub(super) fn sample(timer: &dyn Timer, problems: &[Problem], runs: usize) -> Result<Vec<Measured>> {
    let (model, inputs) = build(problems, Probe::Chained);
    let node_runs = NodeRuns { warmup: 3, timed: runs };
    if let Some(nodes) = timer.node_times(&encode(&model), &inputs, node_runs)? {
        return Ok(attribute(&nodes, problems.len(), runs));
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
pub fn smoke(timer: &dyn Timer) -> Result<f64> {
    let (model, inputs) = build(&[Problem::plain(16, 16, 8)], Probe::Alone);
    timer.load(&encode(&model), &inputs, CpuFallback::Allowed)?.run()
}
