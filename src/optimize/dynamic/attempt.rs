//! A choice of gates with the weights behind them, and what it loses.

use super::super::distillation::Distillation;
use super::super::outcome::{Dynamic, GateDrop, NoGates};
use super::choose::Choice;
use super::evaluate::Evaluated;
use crate::onnx::proto::ModelProto;

/// The gates that were wished for, those that stand, and the model that they stand in where its weights are others.
#[derive(Clone)]
pub(super) struct Accepted {
    pub weights: Option<ModelProto>,
    pub wished: Choice,
    pub chosen: Choice,
}

impl Accepted {
    /// No gates.
    pub fn none(blocks: usize) -> Self {
        Self {
            weights: None,
            wished: vec![None; blocks],
            chosen: vec![None; blocks],
        }
    }
}

/// A choice of gates that was tried.
#[derive(Clone)]
pub(super) struct Attempt {
    pub gates: Accepted,
    /// What it loses on held-out calibration samples.
    pub held_out_drop: Option<f64>,
    /// See [`Dynamic::fitted`].
    pub fitted: Option<[f64; 2]>,
    pub distillation: Option<Distillation>,
    /// What it loses on the evaluation samples.
    pub seen: Option<Evaluated>,
    /// Why it does not stand.
    pub refused: Option<NoGates>,
}

impl Attempt {
    /// A choice of which nothing is known yet.
    pub fn of(wished: Choice, chosen: Choice, held_out_drop: Option<f64>) -> Self {
        Self {
            gates: Accepted {
                weights: None,
                wished,
                chosen,
            },
            held_out_drop,
            fitted: None,
            distillation: None,
            seen: None,
            refused: None,
        }
    }

    /// Whether no gate was found.
    pub fn is_empty(&self) -> bool {
        self.gates.chosen.iter().all(Option::is_none)
    }

    /// Whether it has gates that lose little enough.
    pub fn stands(&self) -> bool {
        !self.is_empty() && self.refused.is_none()
    }

    /// What it was refused for.
    pub fn drop(&self) -> Option<GateDrop> {
        self.seen.as_ref().map(|seen| seen.drop)
    }

    /// Writes what is known of it into the result.
    pub fn tell(self, dynamic: &mut Dynamic) -> Accepted {
        dynamic.held_out_drop = self.held_out_drop;
        dynamic.fitted = self.fitted;
        dynamic.distillation = self.distillation;
        dynamic.declined = self.refused;
        if let Some(seen) = self.seen {
            dynamic.eval_drop = Some(seen.drop);
            dynamic.task = seen.task;
            dynamic.metric = seen.metric;
        }
        self.gates
    }
}
