//! The last step of a fit: all weights together, by gradients.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::distillation::Distillation;
use super::fitting::Fitted;
use super::memory::held_bytes;
use super::reporter::{ProgressReporter, Step};
use super::samples::Samples;
use crate::data::Dataset;
use crate::device::{Device, Limit};
use crate::distill::{Schedule, Teaching, distill, samples_of_a_step};
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::score::{Objective, Reference, StagedExecutor, Watch};
use crate::{Error, Result};

/// How many gradient steps are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distilling {
    /// Steps, at most; 0: none.
    pub steps: usize,
    /// So long, at most.
    pub at_most: Duration,
    /// Seed of the order of samples.
    pub seed: u64,
    /// Bytes of all values of the original for one sample.
    pub values: u64,
}

/// How many times the values of a run are held: as they are, as gradients, and as what both are made of.
const COPIES: u64 = 4;

/// Why gradient steps on some runs would not fit in memory, if they do not.
pub(super) fn too_large(data: &Dataset, runs: &Range<usize>, how: Distilling) -> Option<String> {
    // An open batch may be as small as one sample.
    let least = if data.is_open() { 1 } else { data.batch() };
    let (needed, free) = (needed(data, runs, how, least), held_bytes());
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    (needed > free).then(|| {
        format!(
            "they would take some {:.1} GiB of memory, and {:.1} are free for them",
            gib(needed),
            gib(free)
        )
    })
}

/// How many samples memory holds the values of at once: those of a step, or those of a run.
pub(super) fn at_once(data: &Dataset, runs: &Range<usize>, how: Distilling, objectives: &[Objective]) -> usize {
    let whole = samples_of_a_step(objectives);
    let fits = |n: &usize| needed(data, runs, how, *n) <= held_bytes();
    match data.is_open() {
        true => std::iter::successors(Some(whole), |n| (*n > 1).then_some(n / 2))
            .find(fits)
            .unwrap_or(1),
        false if fits(&whole) => whole,
        false => data.batch(),
    }
}

/// Bytes that gradient steps take: the samples as float32, and the values of a run of `batch`.
fn needed(data: &Dataset, runs: &Range<usize>, how: Distilling, batch: usize) -> u64 {
    let rows = 4 * (data.run_elements() as u64).saturating_mul(runs.len() as u64);
    rows.saturating_add(COPIES * how.values.saturating_mul(batch.max(1) as u64))
}

/// Gradient steps on the samples that weights are fitted on; those that choose tell which weights are taken.
///
/// # Errors
/// When a model cannot be run.
pub fn distilled(
    device: &dyn Device,
    original: &ModelProto,
    fitted: Fitted,
    samples: &Samples,
    how: Distilling,
    reporter: &dyn ProgressReporter,
    limit: &Limit,
) -> Result<Fitted> {
    if how.steps == 0 || fitted.is_broken() {
        return Ok(fitted);
    }
    let stays = |why: String| {
        let mut fitted = fitted.clone();
        fitted.notes.push(format!("no gradient steps were made: {why}"));
        Ok(fitted)
    };
    if !samples.held_out() {
        return stays("the samples make one run of the model, and none is left to choose by".to_owned());
    }
    if limit.is_up() {
        return stays("no time is left".to_owned());
    }
    if let Some(why) = too_large(&samples.data, &samples.fit, how) {
        return stays(why);
    }
    reporter.step(Step::Distill);
    let began = Instant::now();
    let executor = StagedExecutor::new(device, &samples.data, samples.judge.clone())?;
    let graph = Graph::of(original)?;
    let reference = Reference::of(&executor, original, &graph, &samples.judged)?;
    let judge = |model: &ModelProto| reference.judge(&executor, model, &Graph::of(model)?, 0);
    let progress = |done, total| reporter.progress(done, total);
    let objectives = reference.objectives();
    let teaching = Teaching {
        teacher: original,
        objectives: &objectives,
        data: &samples.data,
        runs: &samples.fit,
        unseen: &samples.judge,
        most: at_once(&samples.data, &samples.fit, how, &objectives),
    };
    let schedule = Schedule {
        steps: how.steps,
        at_most: how.at_most,
        seed: how.seed,
    };
    let watch = Watch {
        limit,
        progress: &progress,
    };
    let loss = |model: &ModelProto| judge(model).map(|j| j.loss());
    let found = match distill(device, &fitted.proto, teaching, schedule, &loss, watch) {
        Ok(found) => found,
        // Memory that gradients need and a device does not have is no reason to lose the model.
        Err(Error::Session(why)) => {
            return stays(format!("ONNX Runtime: {why}"));
        }
        Err(other) => return Err(other),
    };
    let told = Distillation::of(&found, 0, began.elapsed().as_secs_f64());
    let Some(proto) = found.model else {
        return Ok(Fitted {
            distillation: Some(told),
            ..fitted
        });
    };
    let chosen_by = judge(&proto)?;
    let judged = match samples.unseen() {
        true => {
            let executor = StagedExecutor::new(device, &samples.data, samples.told.clone())?;
            let reference = Reference::of(&executor, original, &graph, &samples.judged)?;
            reference.judge(&executor, &proto, &Graph::of(&proto)?, 0)?
        }
        false => chosen_by,
    };
    Ok(Fitted {
        proto,
        chosen_by: Some(chosen_by),
        judged: Some(judged),
        distillation: Some(told),
        ..fitted
    })
}
