//! Weights of a narrower model: fitted on some samples, judged on others.

use std::collections::BTreeMap;

use super::distillation::Distillation;
use super::reporter::{ProgressReporter, Step};
use super::samples::Samples;
use crate::device::{Device, Limit};
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::reconstruct::{
    CalibrationMethod, Change, FitSamples, Reconstructed, Settings, fit_shares, reconstruct, rescaled,
};
use crate::score::{Judgement, Reference, StagedExecutor, Watch};
use crate::verify::{Agreement, Task};
use crate::{Error, Result};

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
    /// What choosing the scales of activations anew gave, where that was asked for.
    pub activation_scales: Option<ActivationScales>,
    /// What gradient steps on all weights together gave, where they were asked for.
    pub distillation: Option<Distillation>,
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

/// What choosing the scales of activations anew gave.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ActivationScales {
    /// How ranges were told.
    pub method: &'static str,
    /// Scales that could be chosen.
    pub of: usize,
    /// Those that came out as others.
    pub changed: usize,
    /// Activations that stay because they have a scale for each channel or block.
    pub per_channel: usize,
    /// The loss with the scales as they were, on the samples that choose.
    pub loss_before: f64,
    /// The loss with the new ones, on the same samples.
    pub loss_after: f64,
    /// Whether the model has the new ones.
    pub taken: bool,
}

impl ActivationScales {
    /// In words.
    pub fn text(&self) -> String {
        let Self {
            method, of, changed, ..
        } = self;
        let losses = format!(
            "loss {:.4} → {:.4} on the samples that choose",
            self.loss_before, self.loss_after
        );
        let told = match (of, changed, self.taken) {
            (0, _, _) => "no activation is quantized by one stored scale, so none could be chosen anew".to_owned(),
            (_, 0, _) => format!("all {of} stay: {method} gives the same"),
            (_, _, true) => format!("{changed} of {of} chosen anew by {method}: {losses}"),
            (_, _, false) => {
                format!("all {of} stay: with {changed} chosen anew by {method} the model is no better, {losses}")
            }
        };
        match self.per_channel {
            0 => told,
            n => format!("{told}; {n} with a scale for each channel or block stay"),
        }
    }
}

/// How weights are fitted, and what else the samples decide.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fitting {
    /// Seed of the places that are looked at.
    pub seed: u64,
    /// How the scales of a quantized model's activations are chosen anew; `None`: they stay.
    pub requantize: Option<CalibrationMethod>,
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
    fitting: Fitting,
    reporter: &dyn ProgressReporter,
    limit: &Limit,
) -> Result<Fitted> {
    reporter.step(Step::FitWeights);
    let settings = Settings {
        seed: fitting.seed,
        ..Settings::default()
    };
    let on = || FitSamples {
        data: &samples.data,
        runs: samples.fit.clone(),
        judge: samples.held_out_runs(),
    };
    let progress = |done, total| reporter.progress(done, total);
    let watch = Watch {
        limit,
        progress: &progress,
    };
    let fit_by = |from: ModelProto, settings: Settings| reconstruct(device, change, from, on(), settings, watch);
    let fit = |from| fit_by(from, settings);
    let mut reconstructed = fit(pruned.clone())?;
    reporter.step(Step::JudgeWeights);
    let executor = StagedExecutor::new(device, &samples.data, samples.judge.clone())?;
    let reference = Reference::of(&executor, change.model, change.graph, &samples.judged)?;
    let judged = |model: &ModelProto| reference.judge(&executor, model, &Graph::of(model)?, 0);
    let before = judged(&pruned)?;
    let judged_fit = |fit: &Reconstructed| match fit.left == fit.of {
        true => Ok(before),
        false => judged(&fit.proto),
    };
    let mut after = judged_fit(&reconstructed)?;
    if !change.branches.is_empty() && after.loss() > before.loss() && !limit.is_up() {
        // Behind an activation, what a layer in front makes for a branch that went may be worse than nothing.
        reporter.step(Step::FitWeights);
        let behind = Settings {
            in_front: false,
            ..settings
        };
        let other = fit_by(pruned.clone(), behind)?;
        let loss = judged_fit(&other)?;
        if loss.loss() < after.loss() {
            (reconstructed, after) = (other, loss);
        }
    }
    let (left, not_better, of) = (reconstructed.left, reconstructed.not_better, reconstructed.of);
    let fitted = reconstructed.proto;
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
    let (mut proto, mut judged_loss) = if after.loss() <= before.loss() {
        (fitted, after)
    } else {
        notes.push(format!(
            "weights fitted to the samples did worse on others (loss {:.2e}) than those before the fit ({:.2e}), which were kept",
            after.loss(),
            before.loss()
        ));
        (pruned, before)
    };
    if !limit.is_up() {
        reporter.step(Step::FitWeights);
        let objectives = reference.objectives();
        let found = match fit_shares(
            device,
            (change.model, &proto),
            &on(),
            &objectives,
            (fitting.seed, watch),
        ) {
            Err(Error::Session(why)) => {
                notes.push(format!("layers that end in scores or shares keep their weights: {why}"));
                None
            }
            found => found?,
        };
        if let Some(shares) = found.filter(|s| s.layers > 0) {
            let loss = judged(&shares.proto)?;
            if loss.loss() < judged_loss.loss() {
                notes.push(format!(
                    "{} of the {} layers that end in scores or shares were fitted to these once more: loss {:.4} → {:.4} on the samples that choose",
                    shares.layers, shares.of, judged_loss.loss(), loss.loss()
                ));
                (proto, judged_loss) = (shares.proto, loss);
            }
        }
    }
    let mut activation_scales = None;
    if let Some(method) = fitting.requantize.filter(|_| !limit.is_up()) {
        let new = rescaled(
            device,
            (change.model, &proto),
            (&samples.data, samples.fit.clone()),
            method,
        )?;
        let (changed, of) = (new.changed, new.of);
        let (mut best, mut after) = (new.proto, judged_loss);
        if changed > 0 {
            // Weights that were fitted to coarser or shorter inputs are fitted to these.
            reporter.step(Step::FitWeights);
            let again = fit(best.clone())?.proto;
            let refitted = judged(&again)?;
            after = judged(&best)?;
            if refitted.loss() < after.loss() {
                (best, after) = (again, refitted);
            }
        }
        let taken = after.loss() < judged_loss.loss();
        activation_scales = Some(ActivationScales {
            method: method.name(),
            of,
            changed,
            per_channel: new.per_channel,
            loss_before: judged_loss.loss(),
            loss_after: after.loss(),
            taken,
        });
        if taken {
            (proto, judged_loss) = (best, after);
        }
    }
    let told = match samples.unseen() {
        true => {
            let executor = StagedExecutor::new(device, &samples.data, samples.told.clone())?;
            let reference = Reference::of(&executor, change.model, change.graph, &samples.judged)?;
            reference.judge(&executor, &proto, &Graph::of(&proto)?, 0)?
        }
        false => judged_loss,
    };
    Ok(Fitted {
        proto,
        chosen_by: Some(judged_loss),
        judged: Some(told),
        held_out: samples.held_out(),
        losses: reference.told(),
        activation_scales,
        distillation: None,
        notes,
    })
}
