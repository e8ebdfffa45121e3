//! The last step of a fit: all weights together, by gradients.

use std::time::{Duration, Instant};

use super::distillation::Distillation;
use super::fitting::Fitted;
use super::reporter::{ProgressReporter, Step};
use super::samples::Samples;
use crate::device::{Device, Limit};
use crate::distill::{Distilled, Schedule, Teaching, distill};
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::score::{Reference, StagedExecutor, Watch};
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
    if how.steps == 0 || !samples.held_out() || fitted.is_broken() || limit.is_up() {
        return Ok(fitted);
    }
    reporter.step(Step::Distill);
    let began = Instant::now();
    let executor = StagedExecutor::new(device, &samples.data, samples.judge.clone())?;
    let graph = Graph::of(original)?;
    let reference = Reference::of(&executor, original, &graph, &samples.judged)?;
    let judge = |model: &ModelProto| reference.judge(&executor, model, &Graph::of(model)?, 0);
    let progress = |done, total| reporter.progress(done, total);
    let teaching = Teaching {
        teacher: original,
        objectives: &reference.objectives(),
        data: &samples.data,
        runs: &samples.fit,
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
            let mut fitted = fitted;
            fitted
                .notes
                .push(format!("no gradient steps were made: ONNX Runtime: {why}"));
            return Ok(fitted);
        }
        Err(other) => return Err(other),
    };
    let Distilled {
        model,
        steps,
        losses: [loss_before, loss_after],
        tensors: [tensors, out_of_reach],
        stopped_by,
    } = found;
    let told = Distillation {
        steps,
        tensors,
        out_of_reach,
        stopped_by,
        loss_before,
        loss_after,
        taken: model.is_some(),
        seconds: began.elapsed().as_secs_f64(),
    };
    let Some(proto) = model else {
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
