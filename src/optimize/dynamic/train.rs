//! Weights that make up for what gates leave out: gradient steps through the reference form, with the model without gates as the teacher
//! (AntiDote trains with its gates in place: arXiv 2008.06543; here without labels).

use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

use super::super::distillation::Distillation;
use super::super::distilling::{Distilling, too_large};
use super::super::outcome::Dynamic;
use super::super::reporter::Step;
use super::judge::Judge;
use super::search::GateSearch;
use crate::data::Dataset;
use crate::distill::{Schedule, Teaching, distill};
use crate::gate::{Gate, GateForm, gated};
use crate::onnx::Graph;
use crate::onnx::proto::{ModelProto, TensorProto};
use crate::score::{Watch, value_bytes};
use crate::{Error, Result};

/// The samples that weights behind gates are trained on, and what chooses between weights.
#[derive(Clone, Copy)]
pub(super) struct Lessons<'a> {
    pub data: &'a Dataset,
    pub runs: &'a Range<usize>,
    pub judge: &'a Judge<'a>,
}

/// What steps gave.
pub(super) enum Trained {
    /// Why none were made.
    Not(String),
    /// The model without gates, with the weights to be gated; `None` where those it had lose least. What they lose through the gates.
    Steps(Option<ModelProto>, Distillation),
}

impl GateSearch<'_> {
    /// Trains the weights of this search's model behind (and in) gates.
    ///
    /// # Errors
    /// When a run fails.
    pub(super) fn trained(&self, gates: &[&Gate], lessons: Lessons) -> Result<Trained> {
        let session = self.session;
        let how = Distilling {
            steps: session.options.distill,
            at_most: session.options.time_budget.unwrap_or(std::time::Duration::MAX),
            seed: session.options.seed,
            values: value_bytes(session.analysis(), lessons.data.declared()),
        };
        if let Some(why) = too_large(lessons.data, lessons.runs, how) {
            return Ok(Trained::Not(why));
        }
        session.reporter.step(Step::Distill);
        let began = Instant::now();
        let masked = gated(self.model, self.graph, gates, GateForm::Masked)?;
        let progress = session.progress();
        let objectives = lessons.judge.objectives();
        let teaching = Teaching {
            teacher: lessons.judge.search.model,
            objectives: &objectives,
            data: lessons.data,
            runs: lessons.runs,
        };
        let schedule = Schedule {
            steps: how.steps,
            at_most: how.at_most,
            seed: how.seed,
        };
        let watch = Watch {
            limit: &session.limit,
            progress: &progress,
        };
        let loss = |model: &ModelProto| Ok(lessons.judge.judgement(model)?.loss());
        let found = match distill(session.device, &masked, teaching, schedule, &loss, watch) {
            Ok(found) => found,
            // Memory that gradients need and a device does not have is no reason to lose the gates.
            Err(Error::Session(why)) => return Ok(Trained::Not(format!("ONNX Runtime: {why}"))),
            Err(other) => return Err(other),
        };
        let [loss_before, loss_after] = found.losses;
        let told = Distillation {
            steps: found.steps,
            tensors: found.tensors[0],
            out_of_reach: found.tensors[1],
            stopped_by: found.stopped_by,
            loss_before,
            loss_after,
            taken: found.model.is_some(),
            seconds: began.elapsed().as_secs_f64(),
        };
        let weights = found.model.map(|trained| with_weights_of(self.model, &trained));
        Ok(Trained::Steps(weights, told))
    }
}

impl GateSearch<'_> {
    /// The model with weights that lose least through gates: those of this search's model, those from before, or what steps make of the better
    /// of both. `None`: the model's own.
    ///
    /// # Errors
    /// When a run fails.
    pub(super) fn taught(
        &self,
        gates: &[&Gate],
        before: Option<ModelProto>,
        lessons: Lessons,
        dynamic: &mut Dynamic,
    ) -> Result<Option<ModelProto>> {
        let judged = |model: &ModelProto| -> Result<ModelProto> {
            gated(model, &Graph::of(model)?, gates, GateForm::Masked)
        };
        let loss = |model: &ModelProto| -> Result<f64> { Ok(lessons.judge.judgement(&judged(model)?)?.loss()) };
        let mut start = None;
        if let Some(before) = before
            && loss(&before)? < loss(self.model)?
        {
            start = Some(before);
        }
        let model = start.as_ref().unwrap_or(self.model);
        let found = self.on(model, &Graph::of(model)?).trained(gates, lessons)?;
        let weights = match found {
            Trained::Not(why) => {
                dynamic.notes.push(format!("no gradient steps were made: {why}"));
                start
            }
            Trained::Steps(found, told) => {
                dynamic.distillation = Some(told);
                found.or(start)
            }
        };
        dynamic.held_out_drop = Some(lessons.judge.drop_of(&judged(weights.as_ref().unwrap_or(self.model))?)?);
        Ok(weights)
    }
}

/// A model with the initializers that another has under the same names.
fn with_weights_of(model: &ModelProto, trained: &ModelProto) -> ModelProto {
    let mut copy = model.clone();
    let graph = trained.graph.iter().flat_map(|g| &g.initializer);
    let stored: HashMap<&str, &TensorProto> = graph.map(|t| (t.name(), t)).collect();
    for own in copy.graph.iter_mut().flat_map(|g| &mut g.initializer) {
        if let Some(other) = stored.get(own.name()) {
            own.clone_from(other);
        }
    }
    copy
}
