//! Growing up to the right edge of the plateau that a width stands on: room for training that costs no time.

use super::candidate::{Candidate, made_by};
use super::measure::{Comparison, measure};
use crate::Result;
use crate::optimize::session::Session;
use crate::plan::{LayersAt, Plan};
use crate::verify::Verdict;

/// Seconds of the benchmark that must not show the grown model to be slower.
const SECONDS: f64 = 3.0;
/// Slower by less than this is within what a benchmark can tell.
const FREE: f64 = 1.005;

/// `plan` with every further group grown to the widest candidate that its layers' times do not rise for, as long as the whole
/// model is not measured to be slower for it; `None` when nothing grows.
pub(super) fn grown(session: &mut Session, plan: Plan) -> Result<Option<Plan>> {
    let mut now = session.counts(&plan);
    let (candidates, costs, prober) = (&session.candidates, &mut session.costs, &mut session.prober);
    let mut grown: Vec<(usize, usize, f64)> = Vec::new();
    for (&g, options) in candidates.iter().filter(|(g, _)| !plan.counts.contains_key(g)) {
        let layers = costs.touched_by(g).to_vec();
        let with = |n: usize| {
            let mut other = now.clone();
            other[g] = n;
            other
        };
        let at = |&n: &usize| LayersAt {
            layers: layers.clone(),
            counts: with(n),
        };
        let wanted: Vec<LayersAt> = options.iter().map(at).collect();
        costs.require(prober, &wanted, &|_, _| {})?;
        let Some(present) = costs.of(&layers, &now) else {
            continue;
        };
        let free = options.iter().copied().filter(|&n| n > now[g]).filter_map(|n| {
            let own = costs.of(&layers, &with(n))?;
            (own.ms <= present.ms + present.noise_to(&own)).then_some((n, own.ms - present.ms))
        });
        if let Some((n, rise)) = free.max_by_key(|f| f.0) {
            grown.push((g, n, rise));
            now[g] = n;
        }
    }
    // Those with the least rise first; half of them are given up each time the model turns out slower.
    grown.sort_by(|a, b| a.2.total_cmp(&b.2).then(a.0.cmp(&b.0)));
    // The ratio of the plan without further growth; of none, that of the original.
    let before = made_by(
        session,
        vec![plan.clone()].into_iter().filter(|p| !p.is_empty()).collect(),
    );
    if before.is_empty() && !plan.is_empty() {
        return Ok(None);
    }
    while !grown.is_empty() {
        let mut wider = plan.clone();
        wider.counts.extend(grown.iter().map(|&(g, n, _)| (g, n)));
        if let Some(wider) = made_by(session, vec![wider]).pop() {
            let plans: Vec<Candidate> = before.iter().cloned().chain([wider.clone()]).collect();
            let measured = measure(session, &plans, SECONDS)?;
            let ratio = if before.is_empty() { 1.0 } else { measured[0].ratio };
            let free = |m: &Comparison| m.verdict != Verdict::Slower && m.ratio <= ratio * FREE;
            if measured.last().is_some_and(free) {
                return Ok(Some(wider.plan));
            }
        }
        grown.truncate(grown.len() / 2);
    }
    Ok(None)
}
