//! The latency steps of a model's layers: what was timed while planning, and more widths around it where there is time.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use super::outcome::{LatencySteps, Outcome};
use super::reporter::Step;
use super::session::Session;
use crate::Result;
use crate::device::{NodeClock, Timer};
use crate::profile::{Prober, Problem, recalled, remember, whole_key};

/// Widths in the first look at every layer, and in the closer one at those that take longest.
const FIRST: usize = 5;
const CLOSER: usize = 24;
/// Layers that are looked at together where probes are loaded together, in half of the time.
const TOGETHER: usize = 8;
/// From so many times narrower to so many times wider.
const REACH: f64 = 1.5;

/// Puts the latency steps into the outcome. Times further widths for at most as long as the options say; a second run on the same
/// model takes the same widths from the database.
pub(super) fn draw(outcome: &mut Outcome, session: &mut Session) -> Result<()> {
    let on_device = |t: &dyn Timer| t.node_clock() == NodeClock::Device;
    let together = match session.device.timer().is_some_and(on_device) {
        true => TOGETHER,
        false => 1,
    };
    let time = session.options.latency_steps / if together > 1 { 2 } else { 1 };
    let time = session.limit.at_most(time);
    if time.is_zero() {
        return Ok(());
    }
    let mut shown = layers(outcome, session);
    let mut wanted: Vec<Problem> = Vec::new();
    for s in &shown {
        wanted.extend(s.sides());
    }
    wanted.dedup();
    let (progress, prober) = (session.progress(), &mut session.prober);
    if session.device.timer().is_some() {
        session.reporter.step(Step::TimeStaircases);
        let keys: Vec<String> = wanted.iter().map(Problem::key).collect();
        let what = format!("staircases {} {}", session.opened.model.hash, keys.join(" "));
        let key = whole_key(&what, &[], &[], 0.0);
        let before = prober.deadline.take();
        let known = recalled::<Vec<Problem>>(prober, &key)?.unwrap_or_default();
        if known.is_empty() {
            let timed = explore(prober, &wanted, (time, together), &progress)?;
            remember(prober, &key, &timed)?;
        } else {
            prober.deadline = before;
            prober.require(&known, &progress)?;
        }
        prober.deadline = before;
    }
    shown.iter_mut().for_each(|s| s.look_up(prober));
    shown.retain(|s| !s.curves.is_empty());
    outcome.latency_steps = shown;
    Ok(())
}

/// Every layer once, equal ones together, those that take longest first.
fn layers(outcome: &Outcome, session: &Session) -> Vec<LatencySteps> {
    let (analysis, costs) = (session.analysis(), &session.costs);
    let base = session.present();
    let mut after = base.clone();
    if outcome.model.is_some() {
        for row in &outcome.groups {
            after[row.id] = row.after / analysis.groups[row.id].unit.max(1);
        }
    }
    let mut found: BTreeMap<(String, (usize, usize)), LatencySteps> = BTreeMap::new();
    let mut seen = HashSet::new();
    let mut whole = 0.0;
    for (at, layer) in costs.layers().iter().enumerate() {
        // The same nodes again at other input shapes are left out.
        if !seen.insert(layer.node) {
            continue;
        }
        let ms = costs.scaled_time(at, &base);
        whole += ms;
        let widths = costs.widths_at(at, &after);
        if widths.is_gone() {
            continue;
        }
        let widths = (widths.input, widths.output);
        let entry = found
            .entry((layer.problem.key(), widths))
            .or_insert_with(|| LatencySteps {
                layers: Vec::new(),
                after: widths,
                ..LatencySteps::new(&layer.name, &layer.problem)
            });
        entry.layers.push(layer.name.clone());
        entry.share += ms;
    }
    let mut all: Vec<LatencySteps> = found.into_values().collect();
    for s in &mut all {
        s.share /= f64::max(whole, 1e-9);
    }
    all.sort_by(|a, b| b.share.total_cmp(&a.share));
    all
}

/// Times a few widths of all problems, then the steps of one after the other, until the time is up; what was timed.
fn explore(
    prober: &mut Prober,
    wanted: &[Problem],
    (time, together): (Duration, usize),
    progress: &dyn Fn(usize, usize),
) -> Result<Vec<Problem>> {
    let began = Instant::now();
    prober.deadline = Some(began + time);
    let told = || {
        let total = time.as_secs_f64().max(1e-3);
        progress(
            (began.elapsed().as_secs_f64().min(total) * 10.0) as usize,
            (total * 10.0) as usize,
        );
    };
    // Not all at once, so that those that take longest are served first.
    for some in wanted.chunks(together) {
        let widths = |p: &Problem| spread(&p.widths(1, REACH), p.cout, FIRST);
        let some = some
            .iter()
            .flat_map(|p| widths(p).into_iter().map(|w| p.with_output(w)));
        prober.require(&some.collect::<Vec<Problem>>(), &|_, _| told())?;
    }
    for problem in wanted {
        told();
        if began.elapsed() >= time {
            break;
        }
        prober.find_steps(problem, &problem.widths(1, REACH), CLOSER)?;
    }
    let known = wanted.iter().flat_map(|p| prober.latency_steps(p));
    Ok(known.map(|r| r.problem.clone()).collect())
}

/// About `count` of the widths, evenly, from the wide end, on multiples of 8 where there are enough.
fn spread(widths: &[usize], present: usize, count: usize) -> Vec<usize> {
    let round: Vec<usize> = widths.iter().copied().filter(|w| w.is_multiple_of(8)).collect();
    let from = if round.len() >= count { round } else { widths.to_vec() };
    let mut found: Vec<usize> = from
        .iter()
        .rev()
        .step_by(from.len().div_ceil(count).max(1))
        .copied()
        .collect();
    found.push(present);
    found
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn the_first_look_takes_round_widths_and_the_present_one() {
        let widths: Vec<usize> = (67..=150).collect();
        assert_eq!(spread(&widths, 100, 5), [144, 128, 112, 96, 80, 100]);
        assert_eq!(spread(&[5, 6, 7], 6, 5), [7, 6, 5, 6]);
    }
}
