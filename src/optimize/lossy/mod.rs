//! Narrower than the original: a plan that reaches the user's goals and loses least, with weights that make up for it.

mod acceptance;
mod again;
mod ahead;
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

pub(super) use ahead::ahead;
pub(super) use pareto::pareto;
pub(super) use space::ask;

use std::time::Instant;

use super::fitting::Fitted;
use super::options::Goals;
use super::outcome::{Calibration, ChosenPoint, Declined, NoPlan, Outcome};
use super::reporter::Step;
use super::session::Session;
use crate::Result;
use crate::plan::Plan;
use crate::verify::Interval;
use acceptance::GoalsMet;
use again::{AGAIN, nearer};
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
    let mut goals = session.options.goals;
    let plain = outcome.clone();
    let mut tried = Vec::new();
    for again in 0..=AGAIN {
        let attempt = Attempt {
            session,
            search: &search,
            goals,
            search_seconds,
        };
        match attempt.run(plain.clone(), &mut tried)? {
            // What was measured to miss the goal stays the reason where no other plan is found.
            None => break,
            Some(found) if again > 0 && found.latency.is_none() => break,
            Some(found) => outcome = found,
        }
        match nearer(outcome.declined.as_ref(), goals).filter(|_| !session.limit.is_up()) {
            Some(less) => goals = less,
            None => break,
        }
    }
    Ok(outcome)
}

/// One way to reach goals.
struct Attempt<'s, 'd> {
    session: &'s Session<'d>,
    search: &'s Search,
    goals: Goals,
    search_seconds: f64,
}

impl Attempt<'_, '_> {
    /// Chooses a plan, fits its weights, and proves it; `None` where it was `tried`, to which it is added.
    fn run(&self, mut outcome: Outcome, tried: &mut Vec<Plan>) -> Result<Option<Outcome>> {
        let session = self.session;
        let chosen = match choose(session, self.search, self.goals) {
            Ok(chosen) => chosen,
            Err(NoPlan::Failed(error)) => return Err(error),
            Err(NoPlan::Declined(why)) => {
                let up = session.prober.skipped > 0 || session.limit.is_up();
                outcome.declined = Some(if up { Declined::CutShort(Box::new(why)) } else { why });
                return Ok(Some(outcome));
            }
        };
        if tried.contains(&chosen.plan) {
            return Ok(None);
        }
        tried.push(chosen.plan.clone());
        let began = Instant::now();
        let fitted = match chosen.fitted {
            Some(fitted) => fitted,
            None => fit(session, &chosen.plan)?,
        };
        let seconds = (self.search_seconds, began.elapsed().as_secs_f64());
        outcome.calibration = Some(calibration(session, &fitted, chosen.loss, seconds));
        outcome.chosen = Some(ChosenPoint {
            latency: session.predicted_share(&chosen.plan).unwrap_or(1.0),
            loss: chosen.loss,
            measured: None,
            held_out_loss: fitted.held_out().map(|h| h.loss()),
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
            explain(&mut outcome, session, self.search, &chosen.plan);
        }
        Ok(Some(outcome))
    }
}

/// What the samples served for, and what they say of a plan whose parts lose `loss`. Seconds to search and to fit.
fn calibration(session: &Session, fitted: &Fitted, loss: f64, seconds: (f64, f64)) -> Calibration {
    let samples = session.samples.as_ref();
    let judged_on = samples.map_or(0, |s| s.data.samples_of(s.judge.clone()));
    let held_out = fitted.held_out();
    let agreement = held_out.and_then(|h| h.agreement());
    // Positions of one sample are no samples of their own.
    let interval = |share: f64| Interval::of_share((share * judged_on as f64).round() as usize, judged_on);
    Calibration {
        samples: samples.map_or(0, |s| s.data.count()),
        fitted_on: samples.map_or(0, |s| s.data.samples_of(s.fit.clone())),
        judged_on,
        left_out: samples.map_or(0, |s| s.left_out),
        predicted_loss: loss,
        losses: fitted.losses.clone(),
        held_out_loss: held_out.map(|h| h.loss()),
        held_out_agreement: agreement,
        held_out_interval: agreement.map(interval),
        search_seconds: seconds.0,
        fit_seconds: seconds.1,
    }
}

/// The plan that reaches the goals and loses least.
fn choose(session: &Session, search: &Search, goals: Goals) -> std::result::Result<Chosen, NoPlan> {
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
