//! Plans that lose nothing: widths grow where that is faster, channels that carry nothing go, and so do written-out broadcasts.

mod candidate;
mod choose;
mod measure;
mod zero_cost_growth;

use super::options::Growth;
use super::outcome::{Declined, Outcome};
use super::proof::{Acceptance, Evidence, is_faster};
use super::reporter::Step;
use super::session::Session;
use crate::Result;
use crate::plan::{LayersAt, search};
use crate::verify::{Entry, Verdict};

/// Searches by predicted times, chooses by measuring whole models, and proves the chosen plan.
///
/// # Errors
/// When a probe or a run fails.
pub(super) fn run(session: &mut Session) -> Result<Outcome> {
    let growth = session.options.growth;
    session.reporter.step(Step::SearchPlans);
    let (analysis, progress) = (session.analysis(), session.progress());
    let found = search(
        analysis,
        &session.candidates,
        &mut session.costs,
        &mut session.prober,
        &progress,
    )?;
    session.reporter.step(Step::MeasureModels);
    let mut chosen = choose::choose(session, &found)?;
    if growth == Growth::Free && !session.limit.is_up() {
        session.reporter.step(Step::GrowForFree);
        chosen = zero_cost_growth::grown(session, chosen.clone().unwrap_or_default())?.or(chosen);
    }
    let counts = session.counts(&chosen.clone().unwrap_or_default());
    let wanted = [LayersAt {
        layers: session.costs.all(),
        counts,
    }];
    session.costs.require(&mut session.prober, &wanted, &|_, _| {})?;
    let mut outcome = session.outcome();
    let Some(mut plan) = chosen else {
        outcome.declined = Some(match session.opened.nothing_to_change(false) {
            Some(why) => Declined::NothingToChange(why),
            None if session.prober.skipped > 0 => Declined::NoTimeToSearch,
            None if found.settled.is_empty() && session.broadcasts.is_empty() => Declined::AllWidthsFastest,
            None => Declined::NoFasterPlan,
        });
        return Ok(outcome);
    };
    plan.split = session.options.split_seed();
    let proto = session.rewritten(&plan)?;
    session.conclude(&mut outcome, &plan, &proto, &Lossless { growth })?;
    let rearranged = outcome.model.is_some() && !plan.counts.is_empty() && !session.opened.quantized.is_empty();
    if rearranged && session.device.info().adds_in_16_bits() {
        outcome.notes.push(SATURATION.to_owned());
    }
    Ok(outcome)
}

/// What the random inputs of the comparison may not show.
const SATURATION: &str = "this processor adds products of 8-bit integers in 16 bits (it has no VNNI), which saturates where a quantizer used both \
    types to the full; which products meet hangs on the widths, so outputs may differ by some steps of the quantizer on your data: compare both \
    models on labelled samples, or quantize with reduced ranges (reduce_range in ONNX Runtime)";

/// Equal outputs, and a gain beyond the noise; with zero-cost growth, no loss of speed.
struct Lossless {
    growth: Growth,
}

impl Acceptance for Lossless {
    type Refusal = Declined;

    fn before_task(&self, evidence: &Evidence) -> Option<Declined> {
        if !evidence.agreement.holds() {
            return Some(Declined::OutputsDiffer);
        }
        let fast_enough = |entry: &Entry| match self.growth {
            Growth::Free if entry.verdict() != Verdict::Slower => true,
            _ => is_faster(entry),
        };
        let accepted = evidence.entries.last().is_some_and(fast_enough);
        (!accepted).then_some(Declined::NotFasterAgain)
    }
}
