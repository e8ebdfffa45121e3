//! The weights of a plan's model, and what it loses.

use std::collections::BTreeMap;

use super::sensitivity::guessed_biases;
use crate::Result;
use crate::onnx::Graph;
use crate::optimize::fitting::{Fitted, Fitting, fitted};
use crate::optimize::session::Session;
use crate::plan::Plan;
use crate::reconstruct::{Change, with_compensated};
use crate::score::{Reference, StagedExecutor};

/// The fit has at least one part in so many of the time budget.
const FOR_THE_FIT: u32 = 4;

/// The rewritten model with fitted weights: see [`fitted`]. Without samples, biases make up for the means of what went.
///
/// # Errors
/// When a network cannot be run in parts.
pub(super) fn fit(session: &Session, plan: &Plan) -> Result<Fitted> {
    let (graph, analysis) = (&session.graph, session.analysis());
    let (proto, remaps) = (session.rewritten(plan)?, session.remaps(plan));
    let Some(samples) = &session.samples else {
        let biases = guessed_biases(session, plan);
        return Ok(Fitted {
            proto: with_compensated(proto, graph, analysis, &remaps, &biases)?,
            chosen_by: None,
            judged: None,
            held_out: false,
            losses: BTreeMap::new(),
            activation_scales: None,
            distillation: None,
            notes: Vec::new(),
        });
    };
    let change = Change {
        branches: &plan.branches,
        model: &session.opened.proto,
        graph,
        analysis,
        remaps: &remaps,
    };
    fitted(
        session.device,
        change,
        proto,
        samples,
        Fitting {
            seed: session.options.seed,
            requantize: session.options.requantize,
        },
        session.reporter,
        // A search may have used up the time; weights that nothing was fitted to are worth little.
        &session
            .limit
            .at_least(session.options.time_budget.unwrap_or_default() / FOR_THE_FIT),
    )
}

/// A loss, and what it was measured on.
pub(super) struct MeasuredLoss {
    pub loss: f64,
    pub on: &'static str,
}

/// The loss of the finished model on held-out samples, or without any on random inputs. `None` where neither tells anything.
pub(super) fn measured_loss(session: &Session, fitted: &Fitted) -> Option<MeasuredLoss> {
    if let Some(judged) = fitted.judged {
        let on = match fitted.held_out {
            true => "held-out samples",
            false => "the very samples that it was fitted on",
        };
        let loss = judged.loss();
        return Some(MeasuredLoss { loss, on });
    }
    let (inputs, _) = session.inputs.first().filter(|_| session.samples.is_none())?;
    let random = || -> Result<f64> {
        let executor = StagedExecutor::of(session.device, inputs)?;
        let reference = Reference::of(&executor, &session.opened.proto, &session.graph, &session.judged)?;
        let graph = Graph::of(&fitted.proto)?;
        Ok(reference.judge(&executor, &fitted.proto, &graph, 0)?.loss())
    };
    // A model that is NaN on random inputs, or cannot be run in parts, is judged by nothing here.
    let on = "random inputs";
    random().ok().map(|loss| MeasuredLoss { loss, on })
}

/// A measured loss so many times the predicted one, and by so much above it, is told.
const FAR: f64 = 3.0;
const MUCH: f64 = 0.05;

/// Says when the finished model loses far more than its parts were measured, or guessed, to lose one by one.
pub(super) fn far_off(predicted: f64, measured: Option<MeasuredLoss>) -> Option<String> {
    let MeasuredLoss { loss: measured, on } = measured?;
    let far = measured > FAR * predicted && measured > predicted + MUCH;
    let shown = |loss: f64| {
        if loss < 1e4 {
            format!("{loss:.3}")
        } else {
            format!("{loss:.1e}")
        }
    };
    let (measured, predicted) = (shown(measured), shown(predicted));
    far.then(|| {
        format!(
            "the finished model loses {measured} on {on}, far more than the {predicted} predicted: such cuts add up to more than \
             the sum of their parts here. Check it on your own data before you use it, or ask for less"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{MeasuredLoss, far_off};
    use crate::score::Judgement;

    #[test]
    fn a_loss_far_above_the_predicted_one_is_told() {
        let told = |predicted: f64, measured: f64| {
            let loss = Judgement::of(measured, 10).loss();
            let on = "held-out samples";
            far_off(predicted, Some(MeasuredLoss { loss, on })).is_some()
        };
        assert!(told(0.045, 0.989) && told(0.0, 0.1));
        assert!(!told(0.045, 0.06) && !told(1e-6, 1e-4) && !told(0.5, 1.0));
        // A loss that is no number is infinite.
        assert!(told(0.045, f64::NAN));
        assert!(far_off(0.0, None).is_none());
    }
}
