//! Narrower than the original: a plan that reaches the user's goals and loses least, with weights that make up for it.

mod acceptance;
mod again;
mod ahead;
mod alternative;
mod attempt;
mod by_drop;
mod chosen;
mod fit;
mod gone;
mod limits;
mod mapped;
mod measure;
mod pareto;
mod search;
mod sensitivity;
mod space;
mod stays;
mod target;

pub(super) use ahead::ahead;
pub(super) use pareto::pareto;
pub(super) use space::ask;

use std::time::Instant;

use super::datasets::Datasets;
use super::equal::EqualModels;
use super::outcome::Outcome;
use super::reporter::Step;
use super::session::Session;
use crate::Result;
use again::{AGAIN, nearer};
use alternative::{Alternative, better};
use search::prepare_search;
use sensitivity::Sensitivity;
use stays::best;

/// Searches for a plan that reaches the goals, fits its weights, and proves it. Where a model that equals the original loses less for the
/// same goals, the session is one over that model from then on.
///
/// # Errors
/// When a probe or a run fails, or the device is not here.
pub(super) fn run<'a>(session: &mut Session<'a>, data: &'a Datasets, equal: &'a EqualModels) -> Result<Outcome> {
    session.must_be_here()?;
    let began = Instant::now();
    let mut search = prepare_search(session, Sensitivity::default())?;
    session.reporter.step(Step::SearchPlans);
    session.limit.check()?;
    let mut goals = session.options.goals;
    let (mut found, with_branches) = best(session, &search, goals)?;
    let mut compared = None;
    if let Some(other) = Alternative::find(session, &search, &mut found, (data, equal))? {
        let taken = better(session, &found, &other, goals)?;
        compared = other.compared(&found, taken);
        if taken {
            let (over, ready) = other.taking_over(session);
            (search, found) = (over, Ok(ready));
        } else {
            other.handing_back(session);
        }
    }
    let search_seconds = began.elapsed().as_secs_f64();
    let mut plain = session.outcome();
    if session.samples.is_none() {
        plain.unverified.push(
            "accuracy: without calibration samples channels are chosen by their weights and nothing is fitted"
                .to_owned(),
        );
    }
    plain.curve = search.predicted();
    plain.notes.extend(with_branches);
    plain.notes.extend(compared);
    let mut outcome = plain.clone();
    let mut tried = Vec::new();
    for again in 0..=AGAIN {
        let ready = match found {
            Ok(ready) if tried.contains(&ready.plan) => break,
            Ok(ready) => ready,
            Err(why) => {
                // What was measured to miss the goal stays the reason where no other plan is found.
                if again == 0 {
                    outcome.declined = Some(why);
                }
                break;
            }
        };
        tried.push(ready.plan.clone());
        let ready = ready.distilled(session, search_seconds)?;
        outcome = ready.prove(session, &search, plain.clone(), search_seconds)?;
        match nearer(outcome.declined.as_ref(), goals).filter(|_| again < AGAIN && !session.limit.is_up()) {
            Some(less) => goals = less,
            None => break,
        }
        found = best(session, &search, goals)?.0;
    }
    Ok(outcome)
}
