//! The dynamic variant of a model: which blocks get which gates, by measured time and measured loss.

mod accept;
mod alike;
mod attempt;
mod candidate;
mod candidates;
mod channels;
mod choose;
mod evaluate;
mod finish;
mod judge;
mod pick;
mod rows;
mod search;
mod steps;
mod timing;
mod train;

use super::options::{Dynamics, Mode};
use super::outcome::{Dynamic, NoGates, Outcome};
use super::reporter::Step;
use super::session::Session;
use crate::data::Dataset;
use crate::device::DeviceKind;
use crate::gate::{Gate, blocks, fold_factors, raise_opset};
use crate::onnx::{Graph, parse};
use crate::plan::Metric;
use crate::{Error, Result};
use candidate::GateCandidate;
use candidates::{Split, candidates};
use choose::{eligible, picked};
use rows::{bare, rows};
use search::GateSearch;
use timing::time;
use train::Lessons;

/// Samples that stand in for real ones where gates are wanted without any.
const STAND_INS: usize = 16;

/// Makes the dynamic variant of the model of an outcome, or of the original where there is none.
///
/// # Errors
/// When a run fails. That no gate pays is no error: see [`Dynamic::declined`].
pub(super) fn run(session: &Session, outcome: &Outcome, dynamics: Dynamics) -> Result<Dynamic> {
    if let Some(why) = refused(session, outcome, dynamics) {
        return Ok(Dynamic::none(why));
    }
    let base = outcome.model.as_ref().unwrap_or(&session.original);
    let mut model = parse(base.clone())?.proto;
    let raised = match raise_opset(&mut model) {
        Ok(raised) => raised,
        Err(why) => return Ok(Dynamic::none(NoGates::Opset(why))),
    };
    let model = fold_factors(model)?;
    let search = GateSearch {
        session,
        base,
        model: &model,
        graph: &Graph::of(&model)?,
        macs: outcome.counted[Metric::Macs].after,
        dynamics,
    };
    let mut found = match search.run() {
        // What the job has found so far is not lost because a metric takes longer than there is time.
        Err(Error::Metric(_)) if session.limit.is_up() => Dynamic::none(NoGates::NotJudged),
        found => found?,
    };
    found.notes.extend(raised);
    Ok(found)
}

/// Why no gates are looked for.
fn refused(session: &Session, outcome: &Outcome, dynamics: Dynamics) -> Option<NoGates> {
    if session.options.goals.any() && outcome.model.is_none() {
        Some(NoGates::NoStaticModel)
    } else if session.limit.is_up() {
        Some(NoGates::NotBegun)
    } else if session.device.timer().is_none() {
        Some(NoGates::DeviceElsewhere)
    } else if session.samples.is_none() && dynamics.keep.is_none() {
        Some(NoGates::NeedsSamples)
    } else if dynamics.mode == Mode::Fused && session.device.info().kind != DeviceKind::Cuda {
        Some(NoGates::FusedNeedsGpu)
    } else {
        None
    }
}

impl GateSearch<'_> {
    fn run(&self) -> Result<Dynamic> {
        let session = self.session;
        let (found, refused) = blocks(self.graph, session.analysis());
        let dense = refused.iter().map(|(name, why)| bare(name, why));
        let mut dynamic = Dynamic {
            gates: dense.collect(),
            ..Dynamic::default()
        };
        if found.is_empty() {
            dynamic.declined = Some(NoGates::NoBlock);
            return Ok(dynamic);
        }
        let data = match &session.samples {
            Some(samples) => samples.data.clone(),
            None => {
                let note = "accuracy is unverified: without calibration samples, gates are calibrated on random inputs";
                dynamic.notes.push(note.to_owned());
                Dataset::random(&session.opened.specs, STAND_INS, session.options.seed)?
            }
        };
        let fitted = session.options.goals.any() && session.samples.is_some();
        let trains = session.samples.is_some();
        let Split { calibrate, judge } = match fitted {
            true => Split::of_fitted(&data, &found),
            false => Split::of(&data, &found, trains),
        };
        let taught = 0..judge.start;
        let held_out = judge.start >= calibrate.end;
        session.reporter.step(Step::CalibrateGates);
        let mut candidates = candidates(self, &found, &data, calibrate)?;
        if !held_out && trains {
            // What is fitted to the samples that judge looks better than it is.
            candidates.iter_mut().flatten().for_each(|c| c.made_up.clear());
            let note = "the samples make one run of the model, which chooses the gates and judges them: no weights are fitted behind them";
            dynamic.notes.push(note.to_owned());
        }
        session.reporter.step(Step::TimeGates);
        time(self, &session.inputs[0].0, &mut candidates)?;
        if session.limit.is_up() {
            dynamic.declined = Some(NoGates::NotJudged);
            return Ok(dynamic);
        }
        let judge = self.judge(&mut candidates, &data, judge)?;
        let lessons = judge
            .as_ref()
            .filter(|_| trains && !taught.is_empty())
            .map(|judge| Lessons {
                data: &data,
                runs: &taught,
                judge,
            });
        let accepted = self.accepted(&candidates, judge.as_ref(), lessons, &mut dynamic)?;
        dynamic
            .gates
            .extend(rows(&found, &candidates, &accepted, self.dynamics));
        let gates: Vec<&Gate> = picked(&candidates, &accepted.chosen).map(|o| &o.gate).collect();
        if gates.is_empty() {
            dynamic.declined.get_or_insert_with(|| self.no_gates(&candidates));
            return Ok(dynamic);
        }
        match &accepted.weights {
            Some(model) => self.on(model, &Graph::of(model)?).finish(dynamic, &gates),
            None => self.finish(dynamic, &gates),
        }
    }

    /// Why none of the candidates was chosen.
    fn no_gates(&self, candidates: &[Vec<GateCandidate>]) -> NoGates {
        let pays = |c| eligible(c, self.dynamics.placement);
        if self.session.limit.is_up() {
            NoGates::NotJudged
        } else if candidates.iter().all(Vec::is_empty) {
            NoGates::NothingToLeaveOut
        } else if candidates.iter().flatten().any(pays) {
            NoGates::AllLoseTooMuch
        } else {
            let gpu = self.session.device.info().kind == DeviceKind::Cuda;
            NoGates::NoFasterGate {
                try_fused: gpu && self.dynamics.mode != Mode::Fused,
            }
        }
    }
}
