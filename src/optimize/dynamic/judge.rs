//! What gates lose, on samples that nothing was fitted on.

use std::ops::Range;

use super::candidates::GateCandidate;
use super::timing::place;
use crate::Result;
use crate::data::Dataset;
use crate::device::{Device, Limit};
use crate::gate::{Gate, GateForm, gated};
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::score::{Reference, StagedExecutor};

/// The model's own outputs, which gated ones are compared with.
pub(super) struct Judge<'a> {
    model: &'a ModelProto,
    graph: &'a Graph<'a>,
    device: &'a dyn Device,
    data: &'a Dataset,
    runs: Range<usize>,
    reference: Reference,
}

/// Samples for the losses of single gates, at most.
const FEW: usize = 128;

impl<'a> Judge<'a> {
    /// Runs the model on the samples of some runs.
    pub fn new(
        (model, graph): (&'a ModelProto, &'a Graph<'a>),
        device: &'a dyn Device,
        data: &'a Dataset,
        runs: Range<usize>,
    ) -> Result<Self> {
        let reference = Reference::of(&StagedExecutor::new(device, data, runs.clone())?, model, graph)?;
        Ok(Self {
            model,
            graph,
            device,
            data,
            runs,
            reference,
        })
    }

    /// Samples that gates are judged on.
    pub fn samples(&self) -> usize {
        self.data.samples_of(self.runs.clone())
    }

    /// Measures the loss of every offer for which `wanted` says so, until the time is up.
    pub fn losses(
        &self,
        candidates: &mut [Vec<GateCandidate>],
        wanted: &dyn Fn(&GateCandidate) -> bool,
        (limit, progress): (&Limit, &dyn Fn(usize, usize)),
    ) -> Result<()> {
        let few = FEW.div_ceil(self.data.batch()).clamp(1, self.runs.len().max(1));
        let mut executor = StagedExecutor::new(self.device, self.data, self.runs.start..self.runs.start + few)?;
        let total = candidates.len();
        for (done, list) in candidates.iter_mut().enumerate() {
            progress(done, total);
            for candidate in list.iter_mut().filter(|o| wanted(o)) {
                if limit.is_up() {
                    break;
                }
                let first = candidate.gate.block.nodes().into_iter().min().unwrap_or(0);
                executor.advance(self.model, self.graph, first, &[])?;
                candidate.loss = Some(self.rest(&executor, &[&candidate.gate])?.0);
            }
        }
        progress(total, total);
        Ok(())
    }

    /// What all gates together lose: one minus the share of samples with the same class, for classifiers; else the loss.
    pub fn accuracy_drop(&self, gates: &[&Gate]) -> Result<f64> {
        let executor = StagedExecutor::new(self.device, self.data, self.runs.clone())?;
        let (loss, agreement) = self.rest(&executor, gates)?;
        Ok(agreement.map_or(loss, |a| 1.0 - a))
    }

    /// Runs the rest of the gated model: mean loss, and agreement for classifiers.
    fn rest(&self, executor: &StagedExecutor, gates: &[&Gate]) -> Result<(f64, Option<f64>)> {
        // Masks serve any batch; tiles do so in the compact form, which is quicker.
        let form = if gates.iter().any(|g| g.channels.is_some()) {
            GateForm::Masked
        } else {
            GateForm::Compact
        };
        let with = gated(self.model, self.graph, gates, form)?;
        let own = Graph::of(&with)?;
        let from = place(self.graph, &own, executor.at());
        let judged = self.reference.judge(executor, &with, &own, from)?;
        Ok((judged.loss(), judged.agreement()))
    }
}
