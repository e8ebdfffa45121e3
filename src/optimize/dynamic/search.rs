//! What the search for gates works with.

use super::super::options::{Dynamics, Mode};
use super::super::session::Session;
use super::candidate::GateCandidate;
use crate::Result;
use crate::gate::{Gate, GateForm, gated};
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, encode};
use crate::ops::LinearOp;
use crate::reconstruct::store;

/// What the search for gates works with.
pub(super) struct GateSearch<'a> {
    pub session: &'a Session<'a>,
    /// The static model, encoded.
    pub base: &'a [u8],
    /// The static model, with operators that gates can stand beside.
    pub model: &'a ModelProto,
    /// Look-ups over it.
    pub graph: &'a Graph<'a>,
    /// Multiply-accumulates of the static model for one sample.
    pub macs: u64,
    pub dynamics: Dynamics,
}

impl GateSearch<'_> {
    /// The model whose layers make up for what some gates leave out, as far as each was told alone; `None` where none does.
    ///
    /// # Errors
    /// When weights do not fit their layer.
    pub fn made_up<'c>(&self, gates: impl IntoIterator<Item = &'c GateCandidate>) -> Result<Option<ModelProto>> {
        let mut found: Option<ModelProto> = None;
        for (node, made_up) in gates.into_iter().flat_map(|g| &g.made_up) {
            let Some(layer) = LinearOp::of(self.graph, *node) else {
                continue;
            };
            let Some(weights) = layer.weights(self.graph) else {
                continue;
            };
            let (weights, gained) = made_up.read_through(&weights, layer.taps);
            let mut bias = layer.bias(self.graph);
            bias.iter_mut().zip(gained).for_each(|(b, g)| *b += g as f32);
            let model = found.get_or_insert_with(|| self.model.clone());
            // What the element type cannot hold leaves the layer as it was.
            let _stored = store(model, &layer, &weights, Some(&bias))?;
        }
        Ok(found)
    }

    /// The greatest batch of all workloads.
    pub fn batch(&self) -> usize {
        let specs = self.session.workloads.iter().map(|w| w.opened.specs.first());
        let batches = specs.filter_map(|s| s?.dims.first().copied());
        batches.max().unwrap_or(1)
    }

    /// The form that is written.
    pub fn written_form(&self) -> GateForm {
        match self.dynamics.mode {
            Mode::Mask => GateForm::Masked,
            _ => self.dynamics.form(),
        }
    }

    /// The same over a model with other weights.
    pub fn on<'b>(&'b self, model: &'b ModelProto, graph: &'b Graph<'b>) -> GateSearch<'b> {
        GateSearch { model, graph, ..*self }
    }

    /// The model with gates in it.
    pub fn model_of(&self, gates: &[&Gate], form: GateForm) -> Result<Vec<u8>> {
        Ok(encode(&gated(self.model, self.graph, gates, form)?))
    }
}
