//! What gates lose, on samples that nothing was fitted on.

use std::ops::Range;

use super::offers::Offer;
use super::timing::place;
use crate::Result;
use crate::data::Dataset;
use crate::gate::{Form, Gate, gated};
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::score::{Reference, Walk};
use crate::target::{Limit, Target};

/// The model's own outputs, which gated ones are compared with.
pub(super) struct Judge<'a> {
    model: &'a ModelProto,
    graph: &'a Graph<'a>,
    target: &'a dyn Target,
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
        target: &'a dyn Target,
        data: &'a Dataset,
        runs: Range<usize>,
    ) -> Result<Self> {
        let reference = Reference::of(&Walk::new(target, data, runs.clone())?, model, graph)?;
        Ok(Self {
            model,
            graph,
            target,
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
        offers: &mut [Vec<Offer>],
        wanted: &dyn Fn(&Offer) -> bool,
        (limit, progress): (&Limit, &dyn Fn(usize, usize)),
    ) -> Result<()> {
        let few = FEW.div_ceil(self.data.batch()).clamp(1, self.runs.len().max(1));
        let mut walk = Walk::new(self.target, self.data, self.runs.start..self.runs.start + few)?;
        let total = offers.len();
        for (done, list) in offers.iter_mut().enumerate() {
            progress(done, total);
            for offer in list.iter_mut().filter(|o| wanted(o)) {
                if limit.is_up() {
                    break;
                }
                let first = offer.gate.block.nodes().into_iter().min().unwrap_or(0);
                walk.advance(self.model, self.graph, first, &[])?;
                offer.loss = Some(self.rest(&walk, &[&offer.gate])?.0);
            }
        }
        progress(total, total);
        Ok(())
    }

    /// What all gates together lose: one minus the share of samples with the same class, for classifiers; else the loss.
    pub fn accuracy_drop(&self, gates: &[&Gate]) -> Result<f64> {
        let walk = Walk::new(self.target, self.data, self.runs.clone())?;
        let (loss, agreement) = self.rest(&walk, gates)?;
        Ok(agreement.map_or(loss, |a| 1.0 - a))
    }

    /// Runs the rest of the gated model: mean loss, and agreement for classifiers.
    fn rest(&self, walk: &Walk, gates: &[&Gate]) -> Result<(f64, Option<f64>)> {
        // Masks serve any batch; tiles do so in the compact form, which is quicker.
        let form = if gates.iter().any(|g| g.channels.is_some()) {
            Form::Masked
        } else {
            Form::Compact
        };
        let with = gated(self.model, self.graph, gates, form)?;
        let own = Graph::of(&with)?;
        let from = place(self.graph, &own, walk.at());
        let judged = self.reference.judge(walk, &with, &own, from)?;
        Ok((judged.loss(), judged.agreement()))
    }
}
