//! The staircases of a model's layers: what was timed while planning, and more widths around it where there is time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Opened, Outcome, ProgressReporter, counts, recalled, remember, whole_key};
use crate::Result;
use crate::plan::{Costs, Plan, WidthPair};
use crate::profile::{Multiprocessors, Prober, Problem, Profile, Record, Summary, Waves, staircase, tail_free, waves};

/// Layers with one problem, before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Staircase {
    /// Names of the layers.
    pub layers: Vec<String>,
    /// What they compute, at the widths of the file.
    pub problem: Problem,
    /// Input and output width in the written model; as in the file where none was written.
    pub after: (usize, usize),
    /// Their share of the time of all layers, 0 to 1.
    pub share: f64,
    /// Times at several output widths: with the input width of the file, and with the new one where that differs.
    pub curves: Vec<LatencyCurve>,
}

/// Times against output width.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatencyCurve {
    /// Input width; `None` for a depthwise layer, whose input is as wide as its output.
    pub cin: Option<usize>,
    /// The widths that were timed, ascending.
    pub steps: Vec<LatencyStep>,
}

/// One width.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatencyStep {
    /// Output width.
    pub cout: usize,
    /// Median time in milliseconds, and its median absolute deviation.
    pub ms: f64,
    /// The deviation.
    pub mad: f64,
    /// Whether every wider one is slower: the right edge of a plateau.
    pub tail_free: bool,
    /// The kernel's waves on a GPU, where they were traced.
    pub waves: Option<Waves>,
}

/// The width of the plateau that `cout` stands on over its right edge: 1 where nothing is wasted. `None` beyond the
/// widths that were timed.
pub fn use_of(steps: &[LatencyStep], cout: usize) -> Option<f64> {
    let edge = steps.iter().find(|s| s.tail_free && s.cout >= cout)?;
    Some(cout as f64 / edge.cout as f64)
}

/// Widths in the first look at every layer, and in the closer one at those that take longest.
const FIRST: usize = 5;
const CLOSER: usize = 24;
/// From so many times narrower to so many times wider.
const REACH: f64 = 1.5;

/// Puts the staircases into the outcome. Times further widths for so long; a second run on the
/// same model takes the same widths from the database.
pub(super) fn draw(
    outcome: &mut Outcome,
    opened: &Opened,
    costs: &Costs,
    prober: &mut Prober,
    time: Duration,
    reporter: &dyn ProgressReporter,
) -> Result<()> {
    if time.is_zero() {
        return Ok(());
    }
    let mut shown = layers(outcome, opened, costs);
    let mut wanted: Vec<Problem> = Vec::new();
    for s in &shown {
        wanted.extend(s.sides());
    }
    wanted.dedup();
    if prober.device().is_here() {
        reporter.step("timing widths for the report");
        let keys: Vec<String> = wanted.iter().map(Problem::key).collect();
        let what = format!("staircases {} {}", opened.model.hash, keys.join(" "));
        let key = whole_key(&what, &[], &[], 0.0);
        let before = prober.deadline.take();
        let known = recalled::<Vec<Problem>>(prober, &key)?.unwrap_or_default();
        if known.is_empty() {
            let timed = explore(prober, &wanted, time, reporter)?;
            remember(prober, &key, &timed)?;
        } else {
            prober.deadline = before;
            prober.require(&known, &|done, total| reporter.progress(done, total))?;
        }
        prober.deadline = before;
    }
    shown.iter_mut().for_each(|s| s.look_up(prober));
    shown.retain(|s| !s.curves.is_empty());
    outcome.staircases = shown;
    Ok(())
}

impl Staircase {
    /// A layer that stays as it is, nothing known of its times.
    pub fn new(name: &str, problem: &Problem) -> Self {
        Self {
            layers: vec![name.to_owned()],
            problem: problem.clone(),
            after: (problem.cin, problem.cout),
            share: 0.0,
            curves: Vec::new(),
        }
    }

    /// Takes the times that the prober knows.
    pub fn look_up(&mut self, prober: &Prober) {
        let device = Multiprocessors::of(prober.device().info());
        self.take(&|p| prober.staircase(p), device.as_ref());
    }

    /// Takes the times that a profile holds.
    pub fn recorded(&mut self, profile: &Profile) {
        let device = Multiprocessors::of(&profile.device);
        self.take(&|p| staircase(p, &profile.records), device.as_ref());
    }

    fn take<'r>(&mut self, known: &dyn Fn(&Problem) -> Vec<&'r Record>, device: Option<&Multiprocessors>) {
        let curves = self.sides().into_iter().map(|p| curve(&p, &known(&p), device));
        self.curves = curves.filter(|c| c.steps.len() > 1).collect();
    }

    /// The problem with the input width of the file, and with the new one.
    fn sides(&self) -> Vec<Problem> {
        let mut sides = vec![self.problem.clone()];
        if !self.problem.is_depthwise() && self.after.0 != self.problem.cin {
            sides.push(self.problem.at(self.after.0, self.problem.cout));
        }
        sides
    }

    /// The curve that the layers stand on in the written model.
    pub fn curve_after(&self) -> Option<&LatencyCurve> {
        let same = |c: &&LatencyCurve| c.cin.is_none_or(|n| n == self.after.0);
        self.curves.iter().find(same)
    }
}

/// Every layer once, equal ones together, those that take longest first.
fn layers(outcome: &Outcome, opened: &Opened, costs: &Costs) -> Vec<Staircase> {
    let analysis = &opened.analysis;
    let base: WidthPair = counts(analysis, &Plan::default());
    let mut after = base.clone();
    if outcome.model.is_some() {
        for row in &outcome.groups {
            after[row.id] = row.after / analysis.groups[row.id].unit.max(1);
        }
    }
    let mut found: BTreeMap<(String, (usize, usize)), Staircase> = BTreeMap::new();
    let mut seen = std::collections::HashSet::new();
    let mut whole = 0.0;
    for (at, layer) in costs.layers().iter().enumerate() {
        // The same nodes again at other input shapes are left out.
        if !seen.insert(layer.node) {
            continue;
        }
        let ms = costs.scaled_time(at, &base);
        whole += ms;
        let widths = costs.widths_at(at, &after);
        let entry = found.entry((layer.problem.key(), widths)).or_insert_with(|| Staircase {
            layers: Vec::new(),
            after: widths,
            ..Staircase::new(&layer.name, &layer.problem)
        });
        entry.layers.push(layer.name.clone());
        entry.share += ms;
    }
    let mut all: Vec<Staircase> = found.into_values().collect();
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
    time: Duration,
    reporter: &dyn ProgressReporter,
) -> Result<Vec<Problem>> {
    let began = Instant::now();
    prober.deadline = Some(began + time);
    let told = || {
        let total = time.as_secs_f64().max(1e-3);
        reporter.progress(
            (began.elapsed().as_secs_f64().min(total) * 10.0) as usize,
            (total * 10.0) as usize,
        );
    };
    // One after the other, so that those that take longest are served first.
    for problem in wanted {
        let some = spread(&problem.widths(1, REACH), problem.cout, FIRST);
        let some: Vec<Problem> = some.into_iter().map(|w| problem.with_output(w)).collect();
        prober.require(&some, &|_, _| told())?;
    }
    for problem in wanted {
        told();
        if began.elapsed() >= time {
            break;
        }
        prober.find_steps(problem, &problem.widths(1, REACH), CLOSER)?;
    }
    let known = wanted.iter().flat_map(|p| prober.staircase(p));
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

/// What is known of a problem, with the edges of its plateaus.
fn curve(problem: &Problem, records: &[&Record], device: Option<&Multiprocessors>) -> LatencyCurve {
    let times: Vec<Summary> = records.iter().map(|r| r.summary()).collect();
    let medians: Vec<f64> = times.iter().map(|s| s.median).collect();
    let edges = tail_free(&medians, noise(&times));
    let step = |(i, (record, s)): (usize, (&&Record, &Summary))| LatencyStep {
        cout: record.problem.cout,
        ms: s.median,
        mad: s.mad,
        tail_free: edges.contains(&i),
        waves: record.facts.main_kernel().zip(device).map(|(k, d)| waves(k, d)),
    };
    LatencyCurve {
        cin: (!problem.is_depthwise()).then_some(problem.cin),
        steps: records.iter().zip(&times).enumerate().map(step).collect(),
    }
}

/// How far two equal times may lie apart: by the spread of most of these, 1 to 10 %.
fn noise(times: &[Summary]) -> f64 {
    let spreads: Vec<f64> = times.iter().map(|s| s.half_width() / s.median.max(1e-9)).collect();
    crate::profile::median(&spreads).clamp(0.01, 0.1)
}

#[cfg(test)]
mod tests {
    use super::{LatencyStep, spread, use_of};

    fn steps(edges: &[(usize, bool)]) -> Vec<LatencyStep> {
        let step = |&(cout, tail_free): &(usize, bool)| LatencyStep {
            cout,
            ms: 1.0,
            mad: 0.0,
            tail_free,
            waves: None,
        };
        edges.iter().map(step).collect()
    }

    #[test]
    fn a_width_uses_its_plateau_up_to_its_right_edge() {
        let steps = steps(&[(96, true), (112, false), (128, true)]);
        assert_eq!(use_of(&steps, 112), Some(112.0 / 128.0));
        assert_eq!(use_of(&steps, 128), Some(1.0));
        assert_eq!(use_of(&steps, 130), None);
    }

    #[test]
    fn the_first_look_takes_round_widths_and_the_present_one() {
        let widths: Vec<usize> = (67..=150).collect();
        assert_eq!(spread(&widths, 100, 5), [144, 128, 112, 96, 80, 100]);
        assert_eq!(spread(&[5, 6, 7], 6, 5), [7, 6, 5, 6]);
    }
}
