//! Narrower than the original: a plan that reaches the user's goals and loses least, with weights that make up for it.

mod acceptance;
mod by_drop;
mod chosen;
mod fit;
mod limits;
mod measure;
mod pareto;
mod search;
mod sensitivity;
mod space;
mod target;

pub(super) use pareto::pareto;
pub(super) use space::ask;

use std::time::Instant;

use super::outcome::{Calibration, ChosenPoint, Declined, NoPlan, Outcome};
use super::reporter::Step;
use super::session::Session;
use crate::Result;
use crate::plan::Plan;
use acceptance::GoalsMet;
use by_drop::by_drop;
use chosen::Chosen;
use fit::{far_off, fit, measured_loss};
use limits::limits;
use search::{Search, prepare_search};
use target::by_use;

/// Searches for a plan that reaches the goals, fits its weights, and proves it.
///
/// # Errors
/// When a probe or a run fails, or the device is not here.
pub(super) fn run(session: &mut Session) -> Result<Outcome> {
    session.must_be_here()?;
    let began = Instant::now();
    let search = prepare_search(session)?;
    let search_seconds = began.elapsed().as_secs_f64();
    let mut outcome = session.outcome();
    if session.samples.is_none() {
        outcome.unverified.push(
            "accuracy: without calibration samples channels are chosen by their weights and nothing is fitted"
                .to_owned(),
        );
    }
    session.reporter.step(Step::SearchPlans);
    outcome.curve = search.predicted();
    session.limit.check()?;
    let chosen = match choose(session, &search) {
        Ok(chosen) => chosen,
        Err(NoPlan::Failed(error)) => return Err(error),
        Err(NoPlan::Declined(why)) => {
            let up = session.prober.skipped > 0 || session.limit.is_up();
            outcome.declined = Some(if up { Declined::CutShort(Box::new(why)) } else { why });
            return Ok(outcome);
        }
    };
    let began = Instant::now();
    let fitted = match chosen.fitted {
        Some(fitted) => fitted,
        None => fit(session, &chosen.plan)?,
    };
    let held_out = fitted.held_out();
    outcome.calibration = Some(Calibration {
        samples: session.samples.as_ref().map_or(0, |s| s.data.count()),
        predicted_loss: chosen.loss,
        held_out_loss: held_out.map(|h| h.loss()),
        held_out_agreement: held_out.and_then(|h| h.agreement()),
        search_seconds,
        fit_seconds: began.elapsed().as_secs_f64(),
    });
    outcome.chosen = Some(ChosenPoint {
        latency: session.predicted_share(&chosen.plan).unwrap_or(1.0),
        loss: chosen.loss,
        measured: None,
        held_out_loss: held_out.map(|h| h.loss()),
    });
    outcome.notes.extend(chosen.notes);
    outcome
        .notes
        .extend(far_off(chosen.loss, measured_loss(session, &fitted)));
    outcome.notes.extend(fitted.notes.iter().cloned());
    let acceptance = GoalsMet {
        options: session.options,
        broken: fitted.is_broken(),
    };
    session.conclude(&mut outcome, &chosen.plan, &fitted.proto, &acceptance)?;
    if outcome.model.is_some() {
        explain(&mut outcome, session, &search, &chosen.plan);
    }
    Ok(outcome)
}

/// The plan that reaches the goals and loses least.
fn choose(session: &Session, search: &Search) -> std::result::Result<Chosen, NoPlan> {
    let goals = session.options.goals;
    let mut limits = limits(goals, search);
    match goals.max_drop {
        Some(most) if limits.is_empty() => by_drop(session, search, most),
        _ => by_use(session, search, &mut limits),
    }
}

/// Says of the written model what was lost where, and what of that is a guess.
fn explain(outcome: &mut Outcome, session: &Session, search: &Search, plan: &Plan) {
    let blind: Vec<String> = plan
        .counts
        .keys()
        .filter(|g| search.blind.contains(g))
        .map(usize::to_string)
        .collect();
    if !blind.is_empty() {
        outcome.unverified.push(format!(
            "loss: that of group {} is guessed blindly, as the values behind are made by operators without a rule; judge \
             it on calibration samples",
            blind.join(", ")
        ));
    }
    outcome.narrowed(session, plan, &|g, n| search.loss(g, n));
}
