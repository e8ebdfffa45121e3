//! Weights of a narrower model: fitted on some samples, judged on others.

use std::collections::BTreeMap;

use super::reporter::{ProgressReporter, Step};
use super::samples::Samples;
use crate::Result;
use crate::device::{Device, Limit};
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::reconstruct::{Change, FitSamples, Settings, reconstruct};
use crate::score::{Judgement, Reference, StagedExecutor, Watch};
use crate::verify::{Agreement, Task};

/// A rewritten model with fitted weights.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The model.
    pub proto: ModelProto,
    /// What it loses on the samples that choose; `None` without samples.
    pub chosen_by: Option<Judgement>,
    /// What it loses on the samples that neither fitted nor chose; `None` without samples.
    pub judged: Option<Judgement>,
    /// Whether nothing was fitted on these.
    pub held_out: bool,
    /// What every output is compared as.
    pub losses: BTreeMap<String, String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Fitted {
    /// What it loses on samples that nothing was fitted on.
    pub fn held_out(&self) -> Option<Judgement> {
        self.judged.filter(|_| self.held_out)
    }

    /// Whether what judged it gave no numbers where the original does.
    pub fn is_broken(&self) -> bool {
        let mut judged = self.judged.iter().chain(&self.chosen_by);
        judged.any(|j| !j.loss().is_finite())
    }
}

/// Samples to calibrate on, and what runs them.
#[derive(Clone, Copy)]
pub struct Calibrated<'a> {
    /// The device.
    pub device: &'a dyn Device,
    /// The samples.
    pub samples: &'a Samples,
    /// Seed of the places that are looked at.
    pub seed: u64,
}

/// Whether a narrower model gives NaN or infinity where the original gives numbers: on random inputs, or on real ones.
pub fn gives_no_numbers(agreement: &Agreement, task: Option<&Task>) -> bool {
    !agreement.max_abs_diff.is_finite() || task.is_some_and(|t| t.not_numbers > 0)
}

/// Fits the layers of `pruned` behind a change on one part of the samples, judges it on another and tells its loss on a third. Weights that do worse there
/// than those before the fit are not taken.
///
/// # Errors
/// When a network cannot be run in parts.
pub fn fitted(
    device: &dyn Device,
    change: Change,
    pruned: ModelProto,
    samples: &Samples,
    seed: u64,
    reporter: &dyn ProgressReporter,
    limit: &Limit,
) -> Result<Fitted> {
    reporter.step(Step::FitWeights);
    let settings = Settings {
        seed,
        ..Settings::default()
    };
    let reconstructed = reconstruct(
        device,
        change,
        pruned.clone(),
        FitSamples {
            data: &samples.data,
            runs: samples.fit.clone(),
            judge: samples.held_out_runs(),
        },
        settings,
        Watch {
            limit,
            progress: &|done, total| reporter.progress(done, total),
        },
    )?;
    let (left, not_better, of) = (reconstructed.left, reconstructed.not_better, reconstructed.of);
    let fitted = reconstructed.proto;
    reporter.step(Step::JudgeWeights);
    let executor = StagedExecutor::new(device, &samples.data, samples.judge.clone())?;
    let reference = Reference::of(&executor, change.model, change.graph, &samples.judged)?;
    let judged = |model: &ModelProto| reference.judge(&executor, model, &Graph::of(model)?, 0);
    let before = judged(&pruned)?;
    let after = if left == of { before } else { judged(&fitted)? };
    let mut notes = Vec::new();
    if left > 0 {
        notes.push(format!(
            "fitting was cut short by the time budget: {left} of the {of} layers behind the change keep their weights; allow more time"
        ));
    }
    if not_better > 0 {
        notes.push(format!(
            "{not_better} of the {of} layers behind the change keep the weights that they had before the fit, as these do better on \
             samples that were held out"
        ));
    }
    if !samples.held_out() {
        notes.push(
            "the samples make one run of the model only: none could be held out, so the fit was not judged on others; give more \
             for calibration"
                .to_owned(),
        );
    }
    let (proto, judged) = if after.loss() <= before.loss() {
        (fitted, after)
    } else {
        notes.push(format!(
            "weights fitted to the samples did worse on others (loss {:.2e}) than those before the fit ({:.2e}), which were kept",
            after.loss(),
            before.loss()
        ));
        (pruned, before)
    };
    let told = match samples.unseen() {
        true => {
            let executor = StagedExecutor::new(device, &samples.data, samples.told.clone())?;
            let reference = Reference::of(&executor, change.model, change.graph, &samples.judged)?;
            reference.judge(&executor, &proto, &Graph::of(&proto)?, 0)?
        }
        false => judged,
    };
    Ok(Fitted {
        proto,
        chosen_by: Some(judged),
        judged: Some(told),
        held_out: samples.held_out(),
        losses: reference.told(),
        notes,
    })
}
