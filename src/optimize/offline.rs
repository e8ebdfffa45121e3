//! Planning for a device that is not here, from its recorded profile.

use super::outcome::{Declined, Outcome};
use super::proof::{Acceptance, Evidence};
use super::reporter::Step;
use super::session::Session;
use crate::Result;
use crate::plan::{Plan, search};

/// A predicted gain below this is within what predictions are off by.
const WORTH_A_FILE: f64 = 0.97;

/// The plan that is predicted to be fastest; its outputs are checked on this machine, its latency is not.
///
/// # Errors
/// When a run fails.
pub(super) fn run(session: &mut Session) -> Result<Outcome> {
    let base = session.present();
    let unknown = session.costs.leave_out_unknown(&base);
    session.reporter.step(Step::SearchPlans);
    let (analysis, costs, prober) = (session.analysis(), &mut session.costs, &mut session.prober);
    let found = search(analysis, &session.candidates, costs, prober, &|_, _| {})?.settled;
    let layers = session.costs.all();
    let mut outcome = session.outcome();
    outcome.unverified.push(format!(
        "latency: {} is not here; measure with `snapprune bench` there before you deploy",
        session.device.info().name
    ));
    if unknown > 0 {
        outcome.unverified.push(format!(
            "{unknown} of {} layers are not in the profile; their time is not counted",
            layers.len()
        ));
    }
    if unknown == layers.len() {
        outcome.declined = Some(Declined::ProfileKnowsNothing);
        return Ok(outcome);
    }
    let time = |plan: &Plan| session.costs.of(&layers, &session.counts(plan)).map(|t| t.ms);
    let whole = time(&Plan::default()).unwrap_or(0.0);
    let Some(best) = found.first().filter(|f| f.layers_ms < WORTH_A_FILE * whole) else {
        outcome.declined = Some(Declined::NoPredictedGain);
        return Ok(outcome);
    };
    let proto = session.rewritten(&best.plan)?;
    session.conclude(&mut outcome, &best.plan, &proto, &EqualOutputs)?;
    Ok(outcome)
}

/// Equal outputs; latency is unknown.
struct EqualOutputs;

impl Acceptance for EqualOutputs {
    type Refusal = Declined;

    fn before_task(&self, evidence: &Evidence) -> Option<Declined> {
        (!evidence.agreement.holds()).then_some(Declined::OutputsDiffer)
    }
}
