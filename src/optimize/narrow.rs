//! Narrower than the original: a plan that reaches the user's goals and loses least, with weights that make up for it.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::knowledge::{Knowledge, Samples, learn};
use super::{Goals, Load, Opened, Options, Outcome, Watcher, probes};
use crate::channels::Edits;
use crate::data::Dataset;
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, encode};
use crate::plan::{
    Candidates, Costs, Counts, Curve, Frontier, Plan, Point, Removable, Resource, Space, narrower, without_tail,
};
use crate::profile::Prober;
use crate::refit::{Change, Settings, refit};
use crate::rewrite::{element_shares, rewrite};
use crate::target::{Named, Target};
use crate::verify::{Verdict, compare_task, race_loads};
use crate::{Error, Result};

/// Everything that a search for a narrower model works with.
pub(super) struct Narrowing<'a, 't> {
    pub loads: &'a [Load],
    pub opened: &'a Opened,
    pub graph: &'a Graph<'a>,
    pub target: &'t dyn Target,
    pub original: &'a [u8],
    pub inputs: &'a [(Vec<Named>, f64)],
    pub removable: Removable,
    /// Widths that groups may grow to.
    pub growth: Candidates,
    pub options: &'a Options,
    pub calib: Option<&'a Dataset>,
    pub eval: Option<&'a Dataset>,
    pub watcher: &'a dyn Watcher,
}

/// Seconds for each race of a plan against the original while the target is approached, and how often that is done.
const RACE_SECONDS: f64 = 3.0;
const ROUNDS: usize = 5;
/// Measured this near to the target counts as met.
const MET: f64 = 1.01;
/// Without data, losses are guessed from weights: they count so many times.
const CAREFUL: f64 = 4.0;

impl Narrowing<'_, '_> {
    /// Searches, and gives what came out.
    pub(super) fn run(mut self, costs: &mut Costs, prober: &mut Prober) -> Result<Outcome> {
        let goals = self.options.goals;
        let space = self.space(costs, prober)?;
        let narrower: BTreeMap<usize, Vec<usize>> = space
            .groups
            .iter()
            .zip(&space.options)
            .map(|(&g, o)| (g, o.iter().copied().filter(|&n| n < space.base[g]).collect::<Vec<_>>()))
            .filter(|(_, o)| !o.is_empty())
            .collect();
        let samples = self.calib.map(Samples::new);
        let known = self.learn(samples.as_ref(), &narrower)?;
        self.removable.ranked = known.ranked;
        let mut outcome = Outcome::new(
            self.opened,
            self.target.info(),
            &self.growth,
            probes(prober, costs, &self.growth, &space.base),
        );
        let curves = known.curves;
        let found = self.choose(&space, &curves, costs, goals)?;
        let plan = match found {
            Ok(plan) => plan,
            Err(why) => {
                outcome.nothing(&why);
                return Ok(outcome);
            }
        };
        self.finish(outcome, plan, samples.as_ref(), costs)
    }

    /// Rankings and losses, from samples or from the weights alone.
    fn learn(&self, samples: Option<&Samples>, narrower: &BTreeMap<usize, Vec<usize>>) -> Result<Knowledge> {
        let Some(samples) = samples else {
            return Err(Error::Usage("without --calib nothing is narrowed yet".to_owned()));
        };
        learn(
            self.opened,
            self.graph,
            self.target,
            samples,
            narrower,
            &self.removable,
            self.options.seed,
            self.watcher,
        )
    }

    /// The widths that may be chosen: narrower ones and grown ones that leave no tail, and the present one.
    fn space(&self, costs: &mut Costs, prober: &mut Prober) -> Result<Space> {
        let analysis = &self.opened.analysis;
        let goals = self.options.goals;
        let fine = goals.latency.is_none() && goals.max_drop.is_none();
        let base: Counts = analysis.groups.iter().map(|g| g.classes.len()).collect();
        let kept = super::kept(self.graph, analysis, self.options)?;
        let (mut groups, mut options) = (Vec::new(), Vec::new());
        let free = |g: &&crate::channels::Group| g.lock.is_none() && g.classes.len() > 1 && !kept.contains(&g.id);
        for group in analysis.groups.iter().filter(free) {
            let mut counts = narrower(group, self.options.min_width.max(1), fine);
            counts.extend(self.growth.get(&group.id).into_iter().flatten());
            counts.push(base[group.id]);
            counts.sort_unstable();
            counts.dedup();
            groups.push(group.id);
            options.push(counts);
        }
        let mut space = Space { groups, options, base };
        self.watcher.step("timing widths");
        self.time_alone(&space, costs, prober)?;
        self.drop_tails(&mut space, costs, !fine);
        if goals.latency.is_some() || goals.max_drop.is_some() {
            self.time_together(&space, costs, prober)?;
        }
        Ok(space)
    }

    /// Times every option of every group with all others as they are.
    fn time_alone(&self, space: &Space, costs: &mut Costs, prober: &mut Prober) -> Result<()> {
        let mut wanted = Vec::new();
        for (g, options) in space.groups.iter().zip(&space.options) {
            for &n in options {
                let mut counts = space.base.clone();
                counts[*g] = n;
                wanted.push((costs.touched_by(*g).to_vec(), counts));
            }
        }
        costs.require(prober, &wanted, &|done, total| self.watcher.progress(done, total))
    }

    /// Takes out the options past a step.
    fn drop_tails(&self, space: &mut Space, costs: &Costs, strict: bool) {
        for (v, &g) in space.groups.iter().enumerate() {
            let times: Option<Vec<(f64, f64)>> = space.options[v]
                .iter()
                .map(|&n| {
                    let mut counts = space.base.clone();
                    counts[g] = n;
                    costs.of(costs.touched_by(g), &counts)
                })
                .collect();
            let Some(times) = times else { continue };
            let keep = without_tail(&times, strict);
            let base = space.base[g];
            let mut keep = keep.into_iter();
            space.options[v].retain(|&n| keep.next().unwrap_or(false) || n == base);
        }
    }

    /// Times every layer at its groups' options together, for a table of input by output widths. Where many groups make
    /// one width, they go in step.
    fn time_together(&self, space: &Space, costs: &mut Costs, prober: &mut Prober) -> Result<()> {
        const STEPS: usize = 5;
        let at: HashMap<usize, usize> = space.groups.iter().enumerate().map(|(v, &g)| (g, v)).collect();
        let mut wanted = Vec::new();
        for layer in costs.all() {
            let sides = costs.sides_of(layer);
            let settings: Vec<Vec<Vec<(usize, usize)>>> = sides
                .iter()
                .map(|side| {
                    let free: Vec<usize> = side.iter().copied().filter(|g| at.contains_key(g)).collect();
                    match free.as_slice() {
                        [] => vec![vec![]],
                        [one] => space.options[at[one]].iter().map(|&n| vec![(*one, n)]).collect(),
                        many => (0..STEPS)
                            .map(|k| {
                                let pick = |g: &usize| {
                                    let options = &space.options[at[g]];
                                    options[k * (options.len() - 1) / (STEPS - 1)]
                                };
                                many.iter().map(|g| (*g, pick(g))).collect()
                            })
                            .collect(),
                    }
                })
                .collect();
            for input in &settings[0] {
                for output in &settings[1] {
                    let mut counts = space.base.clone();
                    input.iter().chain(output).for_each(|&(g, n)| counts[g] = n);
                    wanted.push((vec![layer], counts));
                }
            }
        }
        costs.require(prober, &wanted, &|done, total| self.watcher.progress(done, total))
    }

    /// The plan that reaches the goals and loses least, or why there is none.
    fn choose(
        &self,
        space: &Space,
        curves: &BTreeMap<usize, Curve>,
        costs: &Costs,
        goals: Goals,
    ) -> Result<std::result::Result<Plan, String>> {
        let of = |g: usize| curves.get(&g);
        let analysis = &self.opened.analysis;
        if let Some(amount) = goals.latency {
            let shares = element_shares(self.graph, analysis);
            let resource = Resource::latency(space, costs, &shares);
            let mut frontier = Frontier::new(space, &of, &resource);
            return self.approach(space, &mut frontier, amount);
        }
        let (resource, amount, what) = match (goals.macs, goals.params) {
            (Some(amount), _) => (Resource::macs(space, self.graph, analysis), amount, "multiply-accumulates"),
            (None, Some(amount)) => (Resource::parameters(space, self.graph, analysis), amount, "parameters"),
            (None, None) => return Err(Error::Usage("no goal is set".to_owned())),
        };
        let mut frontier = Frontier::new(space, &of, &resource);
        let present = frontier.point(space.present()).used;
        let limit = amount.of(present);
        let found = frontier.within(limit);
        Ok(found.map(|p| plan_of(space, &p)).ok_or_else(|| {
            let least = frontier.least().used;
            format!(
                "{what}: {amount} cannot be reached; the least is {:.2}x, {least:.0} of {present:.0}",
                least / present
            )
        }))
    }

    /// Plans for a latency, measures, and plans again with what was measured.
    fn approach(
        &self,
        space: &Space,
        frontier: &mut Frontier,
        amount: super::Amount,
    ) -> Result<std::result::Result<Plan, String>> {
        self.watcher.step("measuring whole models");
        let present = frontier.point(space.present()).used;
        let mut bias = 1.0;
        let mut best: Option<(f64, Point)> = None;
        let mut nearest: Option<(f64, f64)> = None;
        let mut tried: Vec<Vec<usize>> = Vec::new();
        let mut wish: Option<f64> = None;
        for round in 0..ROUNDS {
            self.watcher.progress(round, ROUNDS);
            let target = wish.unwrap_or(amount.of(present) / present);
            let Some(point) = frontier.within(target / bias * present) else {
                if nearest.is_none() {
                    let least = frontier.least();
                    let (ms, ratio) = self.measure(space, &least)?;
                    nearest = Some((ms, ratio));
                    bias = ratio / (least.used / present);
                    wish = Some(share(amount, ms, ratio));
                    if ratio <= wish.unwrap_or(0.0) * MET {
                        best = Some((least.loss, least.clone()));
                        continue;
                    }
                }
                break;
            };
            if tried.contains(&point.choice) {
                break;
            }
            tried.push(point.choice.clone());
            let (ms, ratio) = self.measure(space, &point)?;
            let target = share(amount, ms, ratio);
            wish = Some(target);
            bias = ratio / (point.used / present);
            if nearest.is_none_or(|n| ratio < n.1) {
                nearest = Some((ms, ratio));
            }
            let met = ratio <= target * MET;
            if met && best.as_ref().is_none_or(|b| point.loss < b.0) {
                best = Some((point.loss, point.clone()));
            }
            if met && ratio >= target * 0.985 {
                break;
            }
        }
        self.watcher.progress(ROUNDS, ROUNDS);
        Ok(match (best, nearest) {
            (Some((_, point)), _) => Ok(plan_of(space, &point)),
            (None, Some((ms, ratio))) => Err(format!(
                "a latency of {amount} cannot be reached; the fastest plan was measured at {ratio:.3}x ({ms:.3} ms)"
            )),
            (None, None) => Err("no plan could be measured".to_owned()),
        })
    }

    /// Milliseconds of a plan's model, and its ratio to the original's.
    fn measure(&self, space: &Space, point: &Point) -> Result<(f64, f64)> {
        let model = encode(&self.apply(&plan_of(space, point))?.0);
        let lanes = race_loads(self.target, &[self.original, &model], self.inputs, RACE_SECONDS)?;
        Ok((lanes[1].summary().median, lanes[1].ratio()))
    }

    fn apply(&self, plan: &Plan) -> Result<(ModelProto, Edits)> {
        let analysis = &self.opened.analysis;
        let (change, folds) = plan.change(analysis, &self.removable);
        let edits = Edits::new(&analysis.coupling, &analysis.groups, &change);
        let proto = rewrite(&self.opened.proto, self.graph, analysis, &change, &folds)?;
        Ok((proto, edits))
    }

    /// The rewritten model with fitted weights.
    fn fitted(&self, plan: &Plan, samples: Option<&Samples>) -> Result<ModelProto> {
        let (proto, edits) = self.apply(plan)?;
        let Some(samples) = samples else {
            return Ok(proto);
        };
        let change = Change {
            model: &self.opened.proto,
            graph: self.graph,
            analysis: &self.opened.analysis,
            edits: &edits,
        };
        let settings = Settings {
            seed: self.options.seed,
            ..settings_from_env()
        };
        self.watcher.step("fitting weights");
        refit(self.target, change, proto, (samples.data, if std::env::var("SNAP_ALL").is_ok() { 0..samples.data.runs() } else { samples.fit.clone() }), settings, &|done, total| {
            self.watcher.progress(done, total)
        })
    }

    fn finish(&self, mut outcome: Outcome, plan: Plan, samples: Option<&Samples>, costs: &Costs) -> Result<Outcome> {
        let began = Instant::now();
        let proto = self.fitted(&plan, samples)?;
        let model = encode(&proto);
        self.watcher.step("verifying");
        let agreement = super::agreement(self.target, self.original, &model, self.loads, self.options.seed)?;
        let lanes = race_loads(self.target, &[self.original, &model], self.inputs, super::FINAL_SECONDS)?;
        outcome.measured(&lanes, agreement);
        if lanes[1].verdict() == Verdict::Slower {
            outcome.nothing("the plan that reaches the goal was measured to be slower than the original");
            return Ok(outcome);
        }
        if let Some(data) = self.eval {
            self.watcher.step("running real inputs");
            outcome.task = compare_task(self.target, self.original, &model, data)?;
        }
        let _ = began;
        outcome.fill(self.opened, self.graph, &plan, &proto, &self.removable, costs);
        outcome.model = Some(model);
        Ok(outcome)
    }
}

fn settings_from_env() -> Settings {
    let get = |n: &str| std::env::var(n).ok().and_then(|v| v.parse::<f64>().ok());
    let d = Settings::default();
    Settings {
        ridge: get("SNAP_RIDGE").unwrap_or(d.ridge),
        places: get("SNAP_PLACES").map_or(d.places, |p| p as usize),
        match_deviation: get("SNAP_MATCH").is_some(),
        seed: 0,
    }
}

/// The latency goal as a share of the original's, whose latency is `ms / ratio`.
fn share(amount: super::Amount, ms: f64, ratio: f64) -> f64 {
    let original = ms / ratio;
    amount.of(original) / original
}

fn plan_of(space: &Space, point: &Point) -> Plan {
    let counts = space.counts(&point.choice);
    let changed = space.groups.iter().filter(|&&g| counts[g] != space.base[g]);
    Plan {
        counts: changed.map(|&g| (g, counts[g])).collect(),
    }
}
