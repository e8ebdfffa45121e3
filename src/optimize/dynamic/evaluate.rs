//! What gates lose on the evaluation samples, which decide where they are given.

use super::super::options::Mode;
use super::super::reporter::Step;
use super::choose::Choice;
use super::judge::Judge;
use super::search::GateSearch;
use crate::Result;
use crate::data::Dataset;
use crate::gate::{Gate, GateForm, gated};
use crate::onnx::proto::ModelProto;
use crate::task::TaskKind;
use crate::verify::{Answers, Certainty, Task, answers, task_of};

/// The gates that were wished for, those that stand, and the model that they stand in where its weights were trained.
pub(super) struct Accepted {
    pub weights: Option<ModelProto>,
    pub wished: Choice,
    pub chosen: Choice,
}

/// The static model on the evaluation samples.
pub(super) enum Before<'a> {
    /// The answers of its task.
    Answers(&'a Dataset, Answers),
    /// Other outputs.
    Outputs(Box<Judge<'a>>),
}

/// What gates lose there.
pub(super) struct EvaluatedDrop {
    /// As `--dynamic-drop` counts it.
    pub drop: f64,
    /// For tasks that are not of numbers alone.
    pub task: Option<Task>,
}

/// Samples that outputs other than classes are compared on, at most.
const COMPARED: usize = 512;

impl<'a> GateSearch<'a> {
    /// Runs the static model on the evaluation samples, if there are any.
    pub(super) fn evaluated(&'a self) -> Result<Option<Before<'a>>> {
        let session = self.session;
        let Some(data) = session.eval else { return Ok(None) };
        session.reporter.step(Step::RunRealInputs);
        let reading = session.judged.reading.as_ref();
        let found = answers(session.device, self.base, data, reading, &session.progress())?;
        if task_of(&found, &found, Certainty::Unknown).is_some_and(|t| t.kind != TaskKind::Regress) {
            return Ok(Some(Before::Answers(data, found)));
        }
        let runs = COMPARED.div_ceil(data.batch().max(1)).min(data.distinct_runs());
        let judge = Judge::new(self, data, 0..runs)?;
        Ok(Some(Before::Outputs(Box::new(judge))))
    }

    /// What a model with these gates loses against the static one.
    pub(super) fn seen_drop(&self, before: &Before, gates: &[&Gate]) -> Result<EvaluatedDrop> {
        let session = self.session;
        session.reporter.step(Step::RunRealInputsDynamic);
        let (data, own) = match before {
            Before::Outputs(judge) => {
                let masked = gated(self.model, self.graph, gates, GateForm::Masked)?;
                return Ok(EvaluatedDrop {
                    drop: judge.drop_of(&masked)?,
                    task: None,
                });
            }
            Before::Answers(data, own) => (*data, own),
        };
        let mask = self.dynamics.mode == Mode::Mask;
        let model = self.model_of(gates, self.written_form())?;
        let single = gates.iter().any(|g| g.takes_one_sample()) && !mask;
        let data = if single { data.in_runs_of(1) } else { data.clone() };
        let reading = session.judged.reading.as_ref();
        let after = answers(session.device, &model, &data, reading, &session.progress())?;
        let task = task_of(own, &after, Certainty::Interval);
        Ok(EvaluatedDrop {
            drop: task
                .as_ref()
                .map_or(1.0, |t| if t.not_numbers > 0 { 1.0 } else { t.accuracy_drop() }),
            task,
        })
    }
}
