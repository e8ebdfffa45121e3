//! The main job: from a model and a device to a faster model, or to the reason why there is none.

mod approach;
mod choose;
mod free;
mod goals;
mod input;
mod knowledge;
mod narrow;
mod offline;
mod outcome;
mod pareto;
mod space;

pub use goals::{Amount, Goals};
pub use input::{Opened, open};
pub use knowledge::Samples;
pub use outcome::{Calibration, GroupRow, Outcome, Probes};
pub use pareto::ParetoRow;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::channels::{Analysis, Group};
use crate::data::{Dataset, Scaling};
use crate::onnx::{Graph, encode, label};
use crate::plan::{Candidates, Costs, Plan, candidates, removable, search};
use crate::profile::{Database, InModel, Layer, Prober, Profile, in_model};
use crate::target::{Named, Target, random_inputs};
use crate::verify::{Agreement, Verdict, compare, compare_task, race_loads};
use crate::{Error, Result};

/// What the user asks for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Seed of the random inputs.
    pub seed: u64,
    /// No probes are begun after this long; the widths that the file has are timed whatever it takes.
    pub time_budget: Option<Duration>,
    /// Names of layers whose widths stay as they are.
    pub keep: Vec<String>,
    /// When widths grow.
    pub growth: Growth,
    /// New channels share the work of old ones instead of being zero.
    pub split: bool,
    /// Real inputs to compare the models on, and how images become inputs.
    pub eval: Option<(PathBuf, Scaling)>,
    /// Samples that weights are fitted on, and how many of them at most.
    pub calib: Option<(PathBuf, Scaling, usize)>,
    /// What a narrower model should reach; nothing is lost without.
    pub goals: Goals,
    /// No group becomes narrower than this.
    pub min_width: usize,
    /// Takes times of another device or stack where it has none of this one.
    pub allow_mismatch: bool,
}

/// When widths grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Growth {
    /// Never.
    None,
    /// Where it was measured to be faster.
    #[default]
    Faster,
    /// Also where it was measured to cost nothing: room for training.
    Free,
}

impl Options {
    /// The seed of the shares when new channels share the work of old ones.
    fn split(&self) -> Option<u64> {
        self.split.then_some(self.seed)
    }
}

/// Told what is being done, and how much of it is done where that is known.
pub trait Watcher {
    /// A step begins.
    fn step(&self, what: &str);
    /// The step has done `done` of `total`.
    fn progress(&self, done: usize, total: usize);
}

/// A model less than 1 % faster is not worth a file: the next run may show it slower.
const WORTH_A_FILE: f64 = 0.99;
/// Seconds for the races that choose between plans, and for the last one.
const CHOOSING_SECONDS: f64 = 3.0;
const FINAL_SECONDS: f64 = 6.0;
/// Seconds for the original alone, which predictions are scaled to.
const ALONE_SECONDS: f64 = 1.0;

/// A model at one set of input shapes, and how much of the traffic that is.
#[derive(Debug)]
pub struct Load {
    /// The model, opened at these shapes.
    pub opened: Opened,
    /// Its share.
    pub weight: f64,
}

/// What a job has found out before it plans: the machine's times at the present widths, and what may change.
struct Prepared<'a, 't> {
    loads: &'a [Load],
    opened: &'a Opened,
    graph: &'a Graph<'a>,
    target: &'t dyn Target,
    prober: Prober<'t>,
    costs: Costs<'a>,
    removable: crate::plan::Removable,
    candidates: Candidates,
    inputs: Vec<(Vec<Named>, f64)>,
    original: Vec<u8>,
    eval: Option<Dataset>,
    calib: Option<Dataset>,
    options: &'a Options,
    watcher: &'a dyn Watcher,
}

/// Times the model as it is, and hands over to `then`.
fn prepared<R>(
    loads: &[Load],
    target: &dyn Target,
    (database, recorded): (Option<Database>, Option<Profile>),
    options: &Options,
    watcher: &dyn Watcher,
    then: impl FnOnce(Prepared) -> Result<R>,
) -> Result<R> {
    let began = Instant::now();
    let opened = &first(loads)?.opened;
    // What is wrong with the files is told before anything is measured.
    let eval = options
        .eval
        .as_ref()
        .map(|(path, scaling)| Dataset::read(path, &opened.specs, scaling));
    let eval = eval.transpose()?;
    let calib = options.calib.as_ref().map(|(path, scaling, most)| {
        let data = Dataset::read(path, &opened.specs, scaling)?;
        Ok::<_, Error>(data.at_most(*most))
    });
    let calib = calib.transpose()?;
    let graph = opened.graph()?;
    let analysis = &opened.analysis;
    let mut layers: Vec<Layer> = Vec::new();
    for load in loads {
        let mut own = crate::profile::layers(&graph, &load.opened.analysis);
        own.iter_mut().for_each(|l| l.weight = load.weight);
        layers.extend(own);
    }
    let mut prober = Prober::new(target, database);
    if let Some(profile) = recorded {
        let same =
            profile.device.fingerprint == target.info().fingerprint && profile.device.stack == target.info().stack;
        if !same && !options.allow_mismatch {
            return Err(Error::Usage(format!(
                "the profile was recorded on {} ({}), this is {} ({}); record one here with `snapprune profile`, \
                 or take its times all the same with --allow-mismatch",
                profile.device.name,
                profile.device.stack,
                target.info().name,
                target.info().stack
            )));
        }
        prober.learn(profile.records);
    }
    let removable = removable(&graph, analysis);
    let spare = |id: usize| removable.classes.get(&id).map_or(0, Vec::len);
    let mut candidates = candidates(analysis, &spare);
    restrict(&mut candidates, &graph, analysis, options)?;
    let mut costs = Costs::new(analysis, &layers);
    let mut inputs: Vec<(Vec<Named>, f64)> = Vec::new();
    for load in loads {
        inputs.push((random_inputs(&load.opened.specs, options.seed, 1.0)?, load.weight));
    }
    let original = encode(&opened.proto);
    let base = counts(analysis, &Plan::default());
    watcher.step("timing widths");
    costs.require(&mut prober, &[(costs.all(), base.clone())], &|done, total| {
        watcher.progress(done, total)
    })?;
    prober.deadline = options.time_budget.map(|budget| began + budget);
    if target.is_here() {
        let key = whole_key("nodes", &[&original], &inputs, 0.0);
        let seen = remembered(&prober, &key, || in_loads(target, &original, &inputs, &graph, &layers))?;
        if let Some(seen) = seen {
            let key = whole_key("alone", &[&original], &inputs, ALONE_SECONDS);
            let whole_ms = remembered(&prober, &key, || {
                let alone = race_loads(target, &[&original], &inputs, ALONE_SECONDS)?;
                Ok(alone.first().map_or(0.0, |l| l.summary().median))
            })?;
            costs.correct(&seen, &base, whole_ms);
        }
    }
    then(Prepared {
        loads,
        opened,
        graph: &graph,
        target,
        prober,
        costs,
        removable,
        candidates,
        inputs,
        original,
        eval,
        calib,
        options,
        watcher,
    })
}

/// Optimizes a model on a device, for the weighted sum of its loads' latencies.
///
/// # Errors
/// When a probe or a run fails. That no plan helps is no error: see [`Outcome::model`].
pub fn optimize(
    loads: &[Load],
    target: &dyn Target,
    database: Option<Database>,
    recorded: Option<Profile>,
    options: &Options,
    watcher: &dyn Watcher,
) -> Result<Outcome> {
    prepared(loads, target, (database, recorded), options, watcher, |p| {
        if options.goals.any() {
            let (mut costs, mut prober, narrowing) = p.narrowing()?;
            narrowing.run(&mut costs, &mut prober)
        } else if target.is_here() {
            exact(p)
        } else {
            offline::plan(p)
        }
    })
}

/// Plans that lose least at every latency, measured at some of them.
///
/// # Errors
/// When a probe or a run fails.
pub fn pareto(
    loads: &[Load],
    target: &dyn Target,
    database: Option<Database>,
    options: &Options,
    measured: usize,
    watcher: &dyn Watcher,
) -> Result<Vec<ParetoRow>> {
    prepared(loads, target, (database, None), options, watcher, |p| {
        let (mut costs, mut prober, mut narrowing) = p.narrowing()?;
        let search = narrowing.search(&mut costs, &mut prober)?;
        narrowing.pareto(&search, measured)
    })
}

impl<'a, 't> Prepared<'a, 't> {
    /// For plans that lose something.
    fn narrowing(self) -> Result<(Costs<'a>, Prober<'t>, narrow::Narrowing<'a, 't>)> {
        if !self.target.is_here() {
            return Err(Error::Usage(format!(
                "{} is not here; goals need a device to measure on: leave out --profile, or the goals",
                self.target.info().name
            )));
        }
        let narrowing = narrow::Narrowing {
            loads: self.loads,
            opened: self.opened,
            graph: self.graph,
            target: self.target,
            original: self.original,
            inputs: self.inputs,
            removable: self.removable,
            growth: self.candidates,
            options: self.options,
            samples: self.calib.map(Samples::new),
            eval: self.eval,
            watcher: self.watcher,
        };
        Ok((self.costs, self.prober, narrowing))
    }
}

/// Plans that lose nothing: widths grow where that is faster, and channels that carry nothing go.
fn exact(p: Prepared) -> Result<Outcome> {
    let Prepared {
        loads,
        opened,
        graph,
        target,
        mut prober,
        mut costs,
        removable,
        candidates,
        inputs,
        original,
        eval,
        options,
        watcher,
        ..
    } = p;
    let analysis = &opened.analysis;
    let base = counts(analysis, &Plan::default());
    let found = search(analysis, &candidates, &mut costs, &mut prober, &|done, total| {
        watcher.progress(done, total);
    })?;
    let job = choose::Job {
        opened,
        graph,
        target,
        original: &original,
        inputs: &inputs,
        removable: &removable,
    };
    watcher.step("measuring whole models");
    let mut chosen = job.choose(&found, &costs, &prober, CHOOSING_SECONDS, watcher)?;
    if options.growth == Growth::Free {
        let base = chosen.as_ref().map(|c| c.plan.clone()).unwrap_or_default();
        watcher.step("growing for free");
        chosen = job
            .grow_for_free(base, &candidates, &mut costs, &mut prober)?
            .or(chosen);
    }
    let all = costs.all();
    let plan = chosen.as_ref().map(|c| c.plan.clone()).unwrap_or_default();
    costs.require(&mut prober, &[(all, counts(analysis, &plan))], &|_, _| {})?;
    let mut outcome = Outcome::new(
        opened,
        target.info(),
        &candidates,
        probes(&prober, &costs, &candidates, &base),
    );
    let Some(chosen) = chosen else {
        outcome.nothing(if prober.skipped > 0 {
            "the time was up before a faster plan was found; run again to go on (what was timed is kept), or allow more"
        } else if found.is_empty() {
            "every width that may change stands where this machine runs it best"
        } else {
            "no plan was measured to be faster than the original beyond the noise"
        });
        return Ok(outcome);
    };
    watcher.step("verifying");
    let mut chosen = chosen;
    let agreed = |model: &[u8]| agreement(target, &original, model, loads, options.seed);
    let zero = encode(&chosen.proto);
    let (model, agreement) = match options.split() {
        Some(seed) => {
            chosen.plan.split = Some(seed);
            chosen.proto = job.apply(&chosen.plan)?;
            let model = encode(&chosen.proto);
            let agreement = agreed(&model)?;
            (model, agreement)
        }
        None => {
            let agreement = agreed(&zero)?;
            (zero, agreement)
        }
    };
    let lanes = race_loads(target, &[&original, &model], &inputs, FINAL_SECONDS)?;
    outcome.measured(&lanes, agreement.clone());
    if !agreement.holds() {
        outcome.nothing("the rewritten model's outputs differ; please report this model");
        return Ok(outcome);
    }
    let free = options.growth == Growth::Free && lanes[1].verdict() != Verdict::Slower;
    if !free && (lanes[1].verdict() != Verdict::Faster || lanes[1].ratio() > WORTH_A_FILE) {
        outcome.nothing("the best plan was not faster by 1 % beyond the noise when measured again");
        return Ok(outcome);
    }
    if let Some(data) = &eval {
        watcher.step("running real inputs");
        outcome.task = compare_task(target, &original, &model, data)?;
    }
    outcome.fill(opened, graph, &chosen.plan, &chosen.proto, &removable, &costs);
    outcome.model = Some(model);
    Ok(outcome)
}

/// The groups that the user wants as they are.
fn kept(graph: &Graph, analysis: &Analysis, options: &Options) -> Result<BTreeSet<usize>> {
    let node = |name: &String| {
        let at = (0..graph.proto.node.len()).find(|&n| label(&graph.proto.node[n], n) == *name);
        at.ok_or_else(|| {
            Error::Usage(format!(
                "--keep {name}: the model has no such node; `snapprune inspect` lists the layers"
            ))
        })
    };
    let named: Vec<usize> = options.keep.iter().map(node).collect::<Result<_>>()?;
    let makes = |g: &&Group| g.producers.iter().any(|n| named.contains(n));
    Ok(analysis.groups.iter().filter(makes).map(|g| g.id).collect())
}

/// Takes out the candidates that the user does not want.
fn restrict(candidates: &mut Candidates, graph: &Graph, analysis: &Analysis, options: &Options) -> Result<()> {
    let kept = kept(graph, analysis, options)?;
    candidates.retain(|g, _| !kept.contains(g));
    if options.growth == Growth::None {
        for (&g, counts) in candidates.iter_mut() {
            counts.retain(|&n| n <= analysis.groups[g].classes.len());
        }
        candidates.retain(|_, counts| counts.len() > 1);
    }
    Ok(())
}

/// The first load, on whose groups all others must agree.
fn first(loads: &[Load]) -> Result<&Load> {
    let first = loads
        .first()
        .ok_or_else(|| Error::Usage("no input shapes are given".to_owned()))?;
    let alike = |a: &Group, b: &Group| {
        let shape = |g: &Group| (g.classes.len(), g.unit, g.lock.is_none(), g.can_grow());
        shape(a) == shape(b) && a.producers == b.producers && a.consumers == b.consumers
    };
    let same = |l: &Load| {
        let (own, others) = (&l.opened.analysis.groups, &first.opened.analysis.groups);
        own.len() == others.len() && own.iter().zip(others).all(|(a, b)| alike(a, b))
    };
    if !loads.iter().all(same) {
        return Err(Error::Model(
            "the channels hang together in other ways at the other shapes; optimize for one of them at a time"
                .to_owned(),
        ));
    }
    Ok(first)
}

/// What the layers of all loads took in the model; `None` where single nodes cannot be timed.
fn in_loads(
    target: &dyn Target,
    model: &[u8],
    loads: &[(Vec<Named>, f64)],
    graph: &Graph,
    layers: &[Layer],
) -> Result<Option<InModel>> {
    let mut all = InModel::default();
    for (own, (inputs, weight)) in layers.chunks(layers.len().div_ceil(loads.len()).max(1)).zip(loads) {
        let Some(nodes) = target.node_times(model, inputs, 3, 15)? else {
            return Ok(None);
        };
        let seen = in_model(graph, own, &nodes);
        all.layers.extend(seen.layers);
        all.others += weight * seen.others;
    }
    Ok(Some(all))
}

/// The least agreement of all loads.
fn agreement(target: &dyn Target, original: &[u8], model: &[u8], loads: &[Load], seed: u64) -> Result<Agreement> {
    let mut least: Option<Agreement> = None;
    for load in loads {
        let found = compare(target, original, model, &load.opened.specs, seed, 3)?;
        if least
            .as_ref()
            .is_none_or(|l| !found.holds() || (l.holds() && found.max_rel_diff > l.max_rel_diff))
        {
            least = Some(found);
        }
    }
    least.ok_or_else(|| Error::Usage("no input shapes are given".to_owned()))
}

/// Counts of probes, for the report.
fn probes(prober: &Prober, costs: &Costs, candidates: &Candidates, base: &[usize]) -> Probes {
    Probes {
        made: prober.made,
        reused: prober.reused,
        skipped: prober.skipped,
        exhaustive: costs.exhaustive(candidates, &base.to_vec()),
    }
}

/// A key for what is remembered of whole models: what was done, for how long, to which models and inputs.
fn whole_key(what: &str, models: &[&[u8]], loads: &[(Vec<Named>, f64)], seconds: f64) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(format!("{what} {seconds} ").as_bytes());
    for (name, tensor, weight) in loads.iter().flat_map(|(i, w)| i.iter().map(move |(n, t)| (n, t, w))) {
        hash.update(format!("{name} {:?} {weight} ", tensor.dims).as_bytes());
    }
    for model in models {
        hash.update(blake3::hash(model).as_bytes());
    }
    hash.finalize().to_hex().to_string()
}

/// What the database remembers under a key, else what `make` gives, which it then remembers.
fn remembered<T: serde::Serialize + serde::de::DeserializeOwned>(
    prober: &Prober,
    key: &str,
    make: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let Some(database) = prober.database() else {
        return make();
    };
    let info = prober.target().info();
    let known = database.remembered(info, key)?;
    if let Some(known) = known.and_then(|text| serde_json::from_str(&text).ok()) {
        return Ok(known);
    }
    let made = make()?;
    database.remember(info, key, &serde_json::to_string(&made).unwrap_or_default())?;
    Ok(made)
}

/// Channel counts of all groups under a plan.
pub fn counts(analysis: &Analysis, plan: &Plan) -> Vec<usize> {
    let present = |id: usize| analysis.groups[id].classes.len();
    (0..analysis.groups.len())
        .map(|id| plan.counts.get(&id).copied().unwrap_or_else(|| present(id)))
        .collect()
}
