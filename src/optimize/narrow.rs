//! Narrower than the original: a plan that reaches the user's goals and loses least, with weights that make up for it.

use std::collections::BTreeMap;
use std::time::Instant;

use super::knowledge::{Knowledge, Samples, guess, guessed_biases, learn};
use super::outcome::{Calibration, ChosenPoint};
use super::{Load, Opened, Options, Outcome, Watcher, probes};
use crate::Result;
use crate::channels::Edits;
use crate::data::Dataset;
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, encode};
use crate::plan::{Candidates, Costs, Counts, Curve, Plan, Point, Removable, Resource, Space};
use crate::profile::Prober;
use crate::refit::{Change, Settings, refit, with_compensated};
use crate::rewrite::{element_shares, rewrite};
use crate::score::{Reference, Walk};
use crate::target::{Named, Target};
use crate::verify::{Verdict, compare_task, race_loads};

/// Everything that a search for a narrower model works with.
pub(super) struct Narrowing<'a, 't> {
    pub loads: &'a [Load],
    pub opened: &'a Opened,
    pub graph: &'a Graph<'a>,
    pub target: &'t dyn Target,
    pub original: Vec<u8>,
    pub inputs: Vec<(Vec<Named>, f64)>,
    pub removable: Removable,
    /// Widths that groups may grow to.
    pub growth: Candidates,
    pub options: &'a Options,
    pub samples: Option<Samples>,
    pub eval: Option<Dataset>,
    pub watcher: &'a dyn Watcher,
}

/// What is searched: widths, what each loses, and what each uses.
pub(super) struct Search {
    pub space: Space,
    /// Whether new channels share the work of old ones, and with which seed.
    pub split: Option<u64>,
    pub curves: BTreeMap<usize, Curve>,
    pub latency: Resource,
    pub macs: Resource,
    pub params: Resource,
    /// The same on fewer widths: multiples of blocks only. Where latency is no goal.
    pub on_blocks: Option<Box<Search>>,
}

impl Search {
    /// The plan of a point.
    pub fn plan(&self, point: &Point) -> Plan {
        let counts = self.space.counts(&point.choice);
        let changed = self.space.groups.iter().filter(|&&g| counts[g] != self.space.base[g]);
        Plan {
            counts: changed.map(|&g| (g, counts[g])).collect(),
            split: self.split,
        }
    }

    /// The predicted loss of one group at a width.
    pub fn loss(&self, group: usize, count: usize) -> Option<f64> {
        self.curves.get(&group)?.at(count)
    }
}

/// A plan that was chosen.
pub(super) struct Chosen {
    pub plan: Plan,
    pub loss: f64,
    /// Its model, where weights have been fitted already.
    pub fitted: Option<Fitted>,
}

/// A rewritten model with fitted weights.
pub(super) struct Fitted {
    pub proto: ModelProto,
    /// Loss and agreement on samples that its weights were not fitted on.
    pub held_out: Option<(f64, Option<f64>)>,
}

impl Narrowing<'_, '_> {
    /// Searches, and gives what came out.
    pub(super) fn run(mut self, costs: &mut Costs, prober: &mut Prober) -> Result<Outcome> {
        let began = Instant::now();
        let search = self.search(costs, prober)?;
        let calibrated = began.elapsed().as_secs_f64();
        let base: &Counts = &search.space.base;
        let probes = probes(prober, costs, &self.growth, base);
        let mut outcome = Outcome::new(self.opened, self.target.info(), &self.growth, probes);
        if self.samples.is_none() {
            outcome.unverified.push(
                "accuracy: without --calib channels are chosen by their weights and nothing is fitted".to_owned(),
            );
        }
        outcome.curve = search.predicted();
        let chosen = match self.choose(&search)? {
            Ok(chosen) => chosen,
            Err(why) => {
                outcome.nothing(&why);
                return Ok(outcome);
            }
        };
        let began = Instant::now();
        let fitted = match chosen.fitted {
            Some(fitted) => fitted,
            None => self.fitted(&chosen.plan)?,
        };
        outcome.calibration = Some(Calibration {
            samples: self.samples.as_ref().map_or(0, |s| s.data.count()),
            predicted_loss: chosen.loss,
            held_out_loss: fitted.held_out.map(|h| h.0),
            held_out_agreement: fitted.held_out.and_then(|h| h.1),
            search_seconds: calibrated,
            fit_seconds: began.elapsed().as_secs_f64(),
        });
        outcome.chosen = Some(ChosenPoint {
            latency: search.latency_share(&chosen.plan),
            loss: chosen.loss,
            measured: None,
            held_out_loss: fitted.held_out.map(|h| h.0),
        });
        self.finish(outcome, &search, &chosen.plan, &fitted.proto, costs)
    }

    /// Times widths and learns what they lose.
    pub(super) fn search(&mut self, costs: &mut Costs, prober: &mut Prober) -> Result<Search> {
        let space = self.space(costs, prober)?;
        let narrower: BTreeMap<usize, Vec<usize>> = space
            .groups
            .iter()
            .zip(&space.options)
            .map(|(&g, o)| (g, o.iter().copied().filter(|&n| n < space.base[g]).collect::<Vec<_>>()))
            .filter(|(_, o)| !o.is_empty())
            .collect();
        let known = self.learn(&narrower)?;
        self.removable.ranked = known.ranked;
        let blocks = self.only_blocks(&space);
        let mut search = self.over(space, known.curves.clone(), costs);
        search.on_blocks = blocks.map(|space| Box::new(self.over(space, known.curves, costs)));
        Ok(search)
    }

    fn over(&self, space: Space, curves: BTreeMap<usize, Curve>, costs: &Costs) -> Search {
        let analysis = &self.opened.analysis;
        Search {
            latency: Resource::latency(&space, costs, &element_shares(self.graph, analysis)),
            macs: Resource::macs(&space, self.graph, analysis),
            params: Resource::parameters(&space, self.graph, analysis),
            curves,
            split: self.options.split(),
            space,
            on_blocks: None,
        }
    }

    /// Rankings and losses, from samples or from the weights alone.
    fn learn(&self, narrower: &BTreeMap<usize, Vec<usize>>) -> Result<Knowledge> {
        let seed = self.options.seed;
        match &self.samples {
            Some(samples) => learn(
                (self.opened, self.graph),
                self.target,
                samples,
                (narrower, &self.removable),
                seed,
                self.watcher,
            ),
            None => Ok(guess((self.opened, self.graph), (narrower, &self.removable))),
        }
    }

    /// Milliseconds of a plan's model, and its ratio to the original's.
    pub(super) fn measure(&self, plan: &Plan, seconds: f64) -> Result<(f64, f64)> {
        let model = encode(&self.apply(plan)?.0);
        let lanes = race_loads(
            self.target,
            &[&self.original, &model],
            &self.inputs,
            seconds,
            &|_, _| {},
        )?;
        Ok((lanes[1].summary().median, lanes[1].ratio()))
    }

    fn apply(&self, plan: &Plan) -> Result<(ModelProto, Edits)> {
        let analysis = &self.opened.analysis;
        let (change, folds) = plan.change(analysis, &self.removable);
        let edits = Edits::new(&analysis.coupling, &analysis.groups, &change);
        let proto = rewrite(&self.opened.proto, self.graph, analysis, &change, &folds)?;
        Ok((proto, edits))
    }

    /// The rewritten model with fitted weights: fitted on a part of the samples and judged on the rest, then fitted on
    /// all. Without samples, biases make up for the means of what went.
    pub(super) fn fitted(&self, plan: &Plan) -> Result<Fitted> {
        let (proto, edits) = self.apply(plan)?;
        let analysis = &self.opened.analysis;
        let Some(samples) = &self.samples else {
            let biases = guessed_biases((self.opened, self.graph), plan, &self.removable);
            return Ok(Fitted {
                proto: with_compensated(proto, self.graph, analysis, &edits, &biases)?,
                held_out: None,
            });
        };
        let change = Change {
            model: &self.opened.proto,
            graph: self.graph,
            analysis,
            edits: &edits,
        };
        let settings = Settings {
            seed: self.options.seed,
            ..Settings::default()
        };
        let fit = |runs| {
            refit(
                self.target,
                change,
                proto.clone(),
                (&samples.data, runs),
                settings,
                &|done, total| self.watcher.progress(done, total),
            )
        };
        self.watcher.step("fitting weights");
        if samples.fit.end > samples.judge.start {
            return Ok(Fitted {
                proto: fit(samples.fit.clone())?,
                held_out: None,
            });
        }
        let judged = fit(samples.fit.clone())?;
        let held_out = Some(self.judged(samples, &judged)?);
        self.watcher.step("fitting on all samples");
        Ok(Fitted {
            proto: fit(0..samples.data.runs())?,
            held_out,
        })
    }

    /// Loss and agreement of a model on the samples that nothing was fitted on.
    fn judged(&self, samples: &Samples, model: &ModelProto) -> Result<(f64, Option<f64>)> {
        let mut reference = Reference::default();
        let walk = Walk::new(self.target, &samples.data, samples.judge.clone())?;
        walk.finish(&self.opened.proto, self.graph, 0, &mut |_, outputs| {
            reference.push(&outputs);
            Ok(())
        })?;
        let graph = Graph::of(model)?;
        let (mut loss, mut same, mut all) = (0.0, 0, 0);
        walk.finish(model, &graph, 0, &mut |run, outputs| {
            loss += reference.loss(run, &outputs);
            let (a, b) = reference.agreeing(run, &outputs);
            (same, all) = (same + a, all + b);
            Ok(())
        })?;
        let agreement = (all > 0).then(|| same as f64 / all as f64);
        Ok((loss / reference.runs().max(1) as f64, agreement))
    }

    fn finish(
        &self,
        mut outcome: Outcome,
        search: &Search,
        plan: &Plan,
        proto: &ModelProto,
        costs: &Costs,
    ) -> Result<Outcome> {
        let model = encode(proto);
        self.watcher.step("verifying");
        let agreement = super::agreement(self.target, &self.original, &model, self.loads, self.options.seed)?;
        let lanes = race_loads(
            self.target,
            &[&self.original, &model],
            &self.inputs,
            super::FINAL_SECONDS,
            &|done, total| self.watcher.progress(done, total),
        )?;
        outcome.measured(&lanes, agreement);
        if let Some(chosen) = outcome.chosen.as_mut() {
            chosen.measured = Some(lanes[1].ratio());
        }
        if let Some(data) = &self.eval {
            self.watcher.step("running real inputs");
            outcome.task = compare_task(self.target, &self.original, &model, data, &|done, total| {
                self.watcher.progress(done, total)
            })?;
        }
        let goals = self.options.goals;
        let (ratio, ms) = (lanes[1].ratio(), lanes[1].summary().median);
        let missed = goals
            .latency
            .filter(|a| ratio > super::approach::share(*a, ms, ratio) * super::approach::NEAR);
        if lanes[1].verdict() == Verdict::Slower {
            outcome.nothing("the plan that reaches the goal was measured to be slower than the original");
            return Ok(outcome);
        }
        if let Some(amount) = missed {
            outcome.nothing(&format!(
                "measured again, the plan takes {ratio:.3}x ({ms:.3} ms), not {amount}; run again, or ask for {:.2}x",
                ratio * 1.01
            ));
            return Ok(outcome);
        }
        if let (Some(most), Some(task)) = (goals.max_drop, &outcome.task)
            && task.drop() > most
        {
            let drop = 100.0 * task.drop();
            outcome.nothing(&format!(
                "the plan loses {drop:.2} points, more than --max-drop {:.2} %; allow more, or ask for less speed",
                100.0 * most
            ));
            return Ok(outcome);
        }
        if goals.max_drop.is_some() && lanes[1].verdict() != Verdict::Faster {
            outcome.nothing("no plan that keeps the accuracy was measured to be faster beyond the noise");
            return Ok(outcome);
        }
        outcome.fill(self.opened, self.graph, plan, proto, &self.removable, costs);
        outcome.narrowed(plan, &self.opened.analysis, &self.removable, &|g, n| search.loss(g, n));
        outcome.model = Some(model);
        Ok(outcome)
    }
}
