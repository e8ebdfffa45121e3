//! The main job: from a model and a device to a faster model, or to the reason why there is none.

mod approach;
mod choose;
mod dynamic;
mod exact;
mod free;
mod goals;
mod input;
mod knowledge;
mod narrow;
mod needs;
mod offline;
mod outcome;
mod pareto;
mod prepare;
mod space;
mod staircases;

pub use dynamic::{Dynamic, Dynamics, GateRow, Mode};
pub use goals::{Amount, Goals};
pub use input::{Opened, open};
pub use knowledge::Samples;
pub use needs::{Alternative, Needs, needs};
pub use outcome::{Calibration, ChosenPoint, GroupRow, Outcome, Probes};
pub use pareto::{Measured, ParetoRow};
pub use staircases::{Curve, Staircase, Step, use_of};

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::channels::Analysis;
use crate::data::Scaling;
use crate::onnx::encode;
use crate::plan::{Candidates, Costs, Plan};
use crate::profile::{Database, Noise, Prober, Profile};
use crate::target::{Named, Target};
use crate::verify::{Agreement, compare};
use crate::{Error, Result};
use prepare::prepared;

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
    /// How the dynamic variant is made; `None`: not at all.
    pub dynamics: Option<Dynamics>,
    /// Takes times of another device or stack where it has none of this one.
    pub allow_mismatch: bool,
    /// For how long widths are timed for the picture of the staircases alone, when all else is done.
    pub staircases: Duration,
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
    /// Nothing more is to come.
    fn done(&self) {}
    /// Shows something else for once, without what is being shown in the way.
    fn aside(&self, show: &dyn Fn()) {
        show();
    }
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

/// What is known of a device before anything is timed.
#[derive(Debug, Default)]
pub struct Known {
    /// The latency database, which new times go to.
    pub database: Option<Database>,
    /// Times recorded earlier.
    pub recorded: Option<Profile>,
    /// Problems (their keys) that need not be timed: no choice that uses them is likely to be faster.
    pub spared: HashSet<String>,
}

/// Optimizes a model on a device, for the weighted sum of its loads' latencies.
///
/// # Errors
/// When a probe or a run fails. That no plan helps is no error: see [`Outcome::model`].
pub fn optimize(
    loads: &[Load],
    target: &dyn Target,
    known: Known,
    options: &Options,
    watcher: &dyn Watcher,
) -> Result<Outcome> {
    let planned = |p: prepare::Prepared, costs: &mut Costs, prober: &mut Prober| {
        let opened = p.opened;
        let mut outcome = if options.goals.any() {
            p.narrowing()?.run(costs, prober)?
        } else if target.is_here() {
            exact::exact(p, costs, prober)?
        } else {
            offline::plan(p, costs, prober)?
        };
        staircases::draw(&mut outcome, opened, costs, prober, options, watcher)?;
        outcome.noise = Noise {
            racing_drift: outcome.noise.racing_drift,
            ..prober.noise()?
        };
        Ok(outcome)
    };
    let mut outcome = prepared(loads, target, known, options, watcher, planned)?;
    if let (Some(dynamics), Some(load)) = (options.dynamics, loads.first()) {
        let original = encode(&load.opened.proto);
        if options.goals.any() && outcome.model.is_none() {
            let why = "the dynamic variant is made from the model that reaches the goal, and there is none";
            outcome.dynamic = Some(Dynamic::none(why));
            return Ok(outcome);
        }
        let base = outcome.model.as_ref().unwrap_or(&original);
        outcome.dynamic = Some(dynamic::dynamic(
            loads,
            target,
            (&original, base),
            options,
            dynamics,
            watcher,
        )?);
    }
    Ok(outcome)
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
    let known = Known {
        database,
        ..Known::default()
    };
    prepared(loads, target, known, options, watcher, |p, costs, prober| {
        let mut narrowing = p.narrowing()?;
        let search = narrowing.search(costs, prober)?;
        narrowing.pareto(&search, measured)
    })
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
        spared: prober.left_out(),
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
    if let Some(known) = recalled(prober, key)? {
        return Ok(known);
    }
    let made = make()?;
    remember(prober, key, &made)?;
    Ok(made)
}

/// What the database remembers under a key, if there is a database and it does.
fn recalled<T: serde::de::DeserializeOwned>(prober: &Prober, key: &str) -> Result<Option<T>> {
    let Some(database) = prober.database() else {
        return Ok(None);
    };
    let known = database.remembered(prober.target().info(), key)?;
    Ok(known.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Has the database remember something, if there is one.
fn remember<T: serde::Serialize>(prober: &Prober, key: &str, made: &T) -> Result<()> {
    let Some(database) = prober.database() else {
        return Ok(());
    };
    database.remember(
        prober.target().info(),
        key,
        &serde_json::to_string(made).unwrap_or_default(),
    )
}

/// Channel counts of all groups under a plan.
pub fn counts(analysis: &Analysis, plan: &Plan) -> Vec<usize> {
    let present = |id: usize| analysis.groups[id].classes.len();
    (0..analysis.groups.len())
        .map(|id| plan.counts.get(&id).copied().unwrap_or_else(|| present(id)))
        .collect()
}
