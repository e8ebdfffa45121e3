//! Narrower than the original: a plan that reaches the user's goals and loses least, with weights that make up for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::finish::far_off;
use super::fitting::{Fitted, fitted};
use super::outcome::{Calibration, ChosenPoint};
use super::sensitivity::{Sensitivity, analyze, guess, guessed_biases};
use super::{Opened, Options, Outcome, ProgressReporter, Samples, Workload, probes};
use crate::Result;
use crate::channels::IndexRemaps;
use crate::data::Dataset;
use crate::device::{Device, Limit, Named};
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, encode};
use crate::plan::{Candidates, Costs, LossCurve, ParetoPoint, Plan, Removable, Resource, SearchSpace, WidthPair};
use crate::profile::Prober;
use crate::reconstruct::{Change, with_compensated};
use crate::rewrite::{element_shares, rewrite};
use crate::verify::benchmark_workloads;

/// Everything that a search for a narrower model works with.
pub(super) struct Narrowing<'a, 't> {
    pub workloads: &'a [Workload],
    pub opened: &'a Opened,
    pub graph: &'a Graph<'a>,
    pub device: &'t dyn Device,
    pub original: Vec<u8>,
    pub inputs: Vec<(Vec<Named>, f64)>,
    pub removable: Removable,
    /// Widths that groups may grow to.
    pub growth: Candidates,
    pub options: &'a Options,
    pub samples: Option<Samples>,
    pub eval: Option<Dataset>,
    pub reporter: &'a dyn ProgressReporter,
    pub limit: &'a Limit,
}

/// Searches for plans are given this long, whatever is left of the time: what was timed is of no use without.
const SEARCHING: Duration = Duration::from_secs(3);

/// What is searched: widths, what each loses, and what each uses.
pub(super) struct Search {
    pub space: SearchSpace,
    /// Whether new channels share the work of old ones, and with which seed.
    pub split: Option<u64>,
    pub curves: BTreeMap<usize, LossCurve>,
    /// Groups whose losses are guessed blindly.
    pub blind: BTreeSet<usize>,
    pub latency: Resource,
    pub macs: Resource,
    pub params: Resource,
    /// When searches end.
    pub limit: Limit,
    /// The same on fewer widths: multiples of blocks only. Where latency is no goal.
    pub on_blocks: Option<Box<Search>>,
}

impl Search {
    /// The plan of a point.
    pub fn plan(&self, point: &ParetoPoint) -> Plan {
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
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Narrowing<'_, '_> {
    /// Searches, and gives what came out.
    pub(super) fn run(mut self, costs: &mut Costs, prober: &mut Prober) -> Result<Outcome> {
        let began = Instant::now();
        let search = self.search(costs, prober)?;
        let calibrated = began.elapsed().as_secs_f64();
        let base: &WidthPair = &search.space.base;
        let probes = probes(prober, costs, &self.growth, base);
        let mut outcome = Outcome::new(self.opened, self.device.info(), &self.growth, probes);
        if self.samples.is_none() {
            outcome.unverified.push(
                "accuracy: without --calib channels are chosen by their weights and nothing is fitted".to_owned(),
            );
        }
        self.reporter.step("searching plans");
        outcome.curve = search.predicted();
        self.limit.check()?;
        let chosen = match self.choose(&search)? {
            Ok(chosen) => chosen,
            Err(why) => {
                let up = match probes.skipped > 0 || self.limit.is_up() {
                    true => {
                        "; the time of --time-budget was up before all widths were looked at: allow more, or run again to go on"
                    }
                    false => "",
                };
                outcome.nothing(&format!("{why}{up}"));
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
            held_out_loss: fitted.held_out().map(|h| h.loss()),
            held_out_agreement: fitted.held_out().and_then(|h| h.agreement()),
            search_seconds: calibrated,
            fit_seconds: began.elapsed().as_secs_f64(),
        });
        outcome.chosen = Some(ChosenPoint {
            latency: search.latency_share(&chosen.plan),
            loss: chosen.loss,
            measured: None,
            held_out_loss: fitted.held_out().map(|h| h.loss()),
        });
        outcome.notes.extend(chosen.notes);
        outcome.notes.extend(far_off(chosen.loss, self.measured_loss(&fitted)));
        outcome.notes.extend(fitted.notes.iter().cloned());
        self.finish(outcome, &search, &chosen.plan, &fitted, costs)
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
        let known = self.analyze(&narrower)?;
        self.removable.ranked = known.ranked;
        let blocks = self.only_blocks(&space);
        let mut search = self.over(space, known.curves.clone(), costs);
        search.blind = known.blind;
        search.on_blocks = blocks.map(|space| Box::new(self.over(space, known.curves, costs)));
        Ok(search)
    }

    fn over(&self, space: SearchSpace, curves: BTreeMap<usize, LossCurve>, costs: &Costs) -> Search {
        let analysis = &self.opened.analysis;
        Search {
            latency: Resource::latency(&space, costs, &element_shares(self.graph, analysis)),
            macs: Resource::macs(&space, self.graph, analysis),
            params: Resource::parameters(&space, self.graph, analysis),
            curves,
            blind: BTreeSet::new(),
            split: self.options.split(),
            space,
            limit: self.limit.at_least(SEARCHING),
            on_blocks: None,
        }
    }

    /// Rankings and losses, from samples or from the weights alone.
    fn analyze(&self, narrower: &BTreeMap<usize, Vec<usize>>) -> Result<Sensitivity> {
        let seed = self.options.seed;
        match &self.samples {
            Some(samples) => analyze(
                (self.opened, self.graph),
                self.device,
                samples,
                (narrower, &self.removable),
                seed,
                (self.reporter, self.limit),
            ),
            None => {
                self.reporter.step("ranking channels");
                let limit = self.limit.at_least(SEARCHING);
                guess(
                    (self.opened, self.graph),
                    (narrower, &self.removable),
                    (self.reporter, &limit),
                )
            }
        }
    }

    /// Milliseconds of a plan's model, and its ratio to the original's.
    pub(super) fn measure(&self, plan: &Plan, seconds: f64) -> Result<(f64, f64)> {
        let model = encode(&self.apply(plan)?.0);
        let seconds = super::racing(self.limit, seconds);
        let entries = benchmark_workloads(
            self.device,
            &[&self.original, &model],
            &self.inputs,
            seconds,
            &|_, _| {},
        )?;
        Ok((entries[1].summary().median, entries[1].ratio()))
    }

    fn apply(&self, plan: &Plan) -> Result<(ModelProto, IndexRemaps)> {
        let analysis = &self.opened.analysis;
        let (change, folds) = plan.change(analysis, &self.removable);
        let remaps = IndexRemaps::new(&analysis.dependencies, &analysis.groups, &change);
        let proto = rewrite(&self.opened.proto, self.graph, analysis, &change, &folds)?;
        Ok((proto, remaps))
    }

    /// The rewritten model with fitted weights: see [`fitted`]. Without samples, biases make up for the means of what went.
    pub(super) fn fitted(&self, plan: &Plan) -> Result<Fitted> {
        let (proto, remaps) = self.apply(plan)?;
        let analysis = &self.opened.analysis;
        let Some(samples) = &self.samples else {
            let biases = guessed_biases((self.opened, self.graph), plan, &self.removable);
            return Ok(Fitted {
                proto: with_compensated(proto, self.graph, analysis, &remaps, &biases)?,
                judged: None,
                held_out: false,
                notes: Vec::new(),
            });
        };
        let change = Change {
            model: &self.opened.proto,
            graph: self.graph,
            analysis,
            remaps: &remaps,
        };
        fitted(
            self.device,
            change,
            proto,
            samples,
            self.options.seed,
            (self.reporter, self.limit),
        )
    }
}
