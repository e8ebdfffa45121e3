//! What gates lose, on samples that nothing was fitted on.

use std::ops::Range;

use super::candidate::GateCandidate;
use super::search::GateSearch;
use super::timing::place;
use crate::Result;
use crate::data::Dataset;
use crate::gate::{Gate, GateForm, gated};
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::score::{Judgement, Objective, Reference, StagedExecutor};

/// The model's own outputs, which gated ones are compared with.
pub(super) struct Judge<'a> {
    pub search: &'a GateSearch<'a>,
    data: &'a Dataset,
    runs: Range<usize>,
    reference: Reference,
}

/// Samples for the losses of single gates, at most.
const FEW: usize = 128;

impl<'a> Judge<'a> {
    /// The runs that it judges on.
    pub fn runs(&self) -> &Range<usize> {
        &self.runs
    }

    /// Runs the model on the samples of some runs.
    pub fn new(search: &'a GateSearch<'a>, data: &'a Dataset, runs: Range<usize>) -> Result<Self> {
        let executor = StagedExecutor::new(search.session.device, data, runs.clone())?;
        let reference = Reference::of(&executor, search.model, search.graph, &search.session.judged)?;
        Ok(Self {
            search,
            data,
            runs,
            reference,
        })
    }

    /// Samples that gates are judged on.
    pub fn samples(&self) -> usize {
        self.data.samples_of(self.runs.clone())
    }

    /// Measures the loss of every candidate for which `wanted` says so, until the time is up.
    pub fn losses(&self, candidates: &mut [Vec<GateCandidate>], wanted: &dyn Fn(&GateCandidate) -> bool) -> Result<()> {
        let (search, session) = (self.search, self.search.session);
        let progress = session.progress();
        let few = FEW.div_ceil(self.data.batch()).clamp(1, self.runs.len().max(1));
        let judged = self.runs.start..self.runs.start + few;
        let mut executor = StagedExecutor::new(search.session.device, self.data, judged.clone())?;
        let total = candidates.len();
        for (done, list) in candidates.iter_mut().enumerate() {
            progress(done, total);
            for candidate in list.iter_mut().filter(|o| wanted(o)) {
                if session.limit.is_up() {
                    break;
                }
                let first = candidate.gate.block.nodes().into_iter().min().unwrap_or(0);
                if executor.at() > first {
                    executor = StagedExecutor::new(search.session.device, self.data, judged.clone())?;
                }
                executor.advance(search.model, search.graph, first, &[])?;
                candidate.loss = Some(self.rest(&executor, &[&*candidate])?.loss());
            }
        }
        progress(total, total);
        Ok(())
    }

    /// What all gates together lose, where each layer makes up for its own: one minus the share of samples with the same class, for classifiers; else the loss.
    pub fn accuracy_drop(&self, gates: &[&GateCandidate]) -> Result<f64> {
        let executor = StagedExecutor::new(self.search.session.device, self.data, self.runs.clone())?;
        Ok(drop(self.rest(&executor, gates)?))
    }

    /// The same of a model with gates on weights of its own.
    pub fn drop_of(&self, model: &ModelProto) -> Result<f64> {
        Ok(drop(self.judgement(model)?))
    }

    /// What any model that takes the same inputs loses against the one without gates.
    pub fn judgement(&self, model: &ModelProto) -> Result<Judgement> {
        let executor = StagedExecutor::new(self.search.session.device, self.data, self.runs.clone())?;
        self.reference.judge(&executor, model, &Graph::of(model)?, 0)
    }

    /// What outputs are compared as.
    pub fn objectives(&self) -> Vec<Objective> {
        self.reference.objectives()
    }

    /// Runs the rest of the gated model, whose layers make up for what is left out.
    fn rest(&self, executor: &StagedExecutor, candidates: &[&GateCandidate]) -> Result<Judgement> {
        let gates: Vec<&Gate> = candidates.iter().map(|c| &c.gate).collect();
        // Masks serve any batch; the compact form, which is quicker, where it does, too.
        let form = if gates.iter().any(|g| g.takes_one_sample()) {
            GateForm::Masked
        } else {
            GateForm::Compact
        };
        let model = self.search.made_up(candidates.iter().copied())?;
        let model = model.as_ref().unwrap_or(self.search.model);
        let with = gated(model, &Graph::of(model)?, &gates, form)?;
        let own = Graph::of(&with)?;
        let from = place(self.search.graph, &own, executor.at());
        self.reference.judge(executor, &with, &own, from)
    }
}

/// A loss as the drop that is allowed is counted.
fn drop(judged: Judgement) -> f64 {
    judged.agreement().map_or(judged.loss(), |a| 1.0 - a)
}
