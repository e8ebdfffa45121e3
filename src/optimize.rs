//! The main job: from a model and a device to a faster model, or to the reason why there is none.

mod by_drop;
mod choose;
mod datasets;
mod dynamic;
mod finish;
mod fitting;
mod goals;
mod input;
mod lossless;
mod lossy;
mod needs;
mod offline;
mod outcome;
mod pareto;
mod prepare;
mod samples;
mod scope;
mod sensitivity;
mod sound;
mod space;
mod staircases;
mod target_search;
mod zero_cost_growth;

pub use datasets::Datasets;
pub use dynamic::{Dynamic, Dynamics, GateRow, Mode};
pub use fitting::{BROKEN, Fitted, fitted, gives_no_numbers};
pub use goals::{Amount, Goals};
pub use input::{Opened, SORTED, open};
pub use needs::{Alternative, Needs, needs};
pub use outcome::{Calibration, ChosenPoint, GroupRow, Outcome, Probes};
pub use pareto::{Measured, ParetoRow};
pub use samples::Samples;
pub use staircases::{LatencyCurve, LatencyStep, Staircase, use_of};

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::channels::Analysis;
use crate::data::Scaling;
use crate::device::{Device, Limit, Named};
use crate::onnx::encode;
use crate::plan::{Candidates, Costs, Plan};
use crate::profile::{Database, Noise, Prober, Profile};
use crate::verify::{Agreement, compare};
use crate::{Error, Result};
use prepare::prepared;

/// What the user asks for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Seed of the random inputs.
    pub seed: u64,
    /// No step goes on after this long: searches end with what they have, and the last race and the verification of what
    /// is written are kept short.
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
    /// A model that reaches a goal in multiply-accumulates or parameters is wanted also where it was not measured to be faster.
    pub allow_slower: bool,
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
pub trait ProgressReporter {
    /// A step begins.
    fn step(&self, what: &str);
    /// The step has done `done` of `total`.
    fn progress(&self, done: usize, total: usize);
    /// Something that the user should know before the job is done; told once.
    fn note(&self, _what: &str) {}
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
/// Seconds for any race when the time is nearly up.
const SHORT_SECONDS: f64 = 0.5;
/// Seconds for the original alone, which predictions are scaled to.
const ALONE_SECONDS: f64 = 1.0;

/// A model at one set of input shapes, and how much of the traffic that is.
#[derive(Debug)]
pub struct Workload {
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
    pub pruned: HashSet<String>,
}

/// Optimizes a model on a device, for the weighted sum of its workloads' latencies.
///
/// # Errors
/// When a probe or a run fails. That no plan helps is no error: see [`Outcome::model`].
pub fn optimize(
    workloads: &[Workload],
    device: &dyn Device,
    known: Known,
    options: &Options,
    reporter: &dyn ProgressReporter,
) -> Result<Outcome> {
    if let Some(outcome) = refused(workloads, device, options) {
        return Ok(outcome);
    }
    let limit = limit(device, options);
    let planned = |p: prepare::Prepared, costs: &mut Costs, prober: &mut Prober| {
        let opened = p.opened;
        let mut outcome = if options.goals.any() {
            p.narrowing()?.run(costs, prober)?
        } else if device.is_here() {
            lossless::lossless(p, costs, prober)?
        } else {
            offline::plan(p, costs, prober)?
        };
        if limit.is_up() {
            outcome.cut_short(prober.skipped);
        }
        let time = limit.at_most(options.staircases);
        staircases::draw(&mut outcome, opened, costs, prober, time, reporter)?;
        outcome.noise = Noise {
            racing_drift: outcome.noise.racing_drift,
            ..prober.noise(limit.is_up())?
        };
        if let Some(why) = &prober.untraced {
            reporter.note(why);
            outcome.notes.push(why.clone());
        }
        Ok(outcome)
    };
    let data = datasets(workloads, device, options, reporter)?;
    let mut outcome = prepared(
        (workloads, device),
        (known, &data),
        options,
        (reporter, &limit),
        planned,
    )?;
    if let (Some(dynamics), Some(workload)) = (options.dynamics, workloads.first()) {
        let original = encode(&workload.opened.proto);
        if options.goals.any() && outcome.model.is_none() {
            let why = "the dynamic variant is made from the model that reaches the goal, and there is none";
            outcome.dynamic = Some(Dynamic::none(why));
            return Ok(outcome);
        }
        if limit.is_up() {
            outcome.dynamic = Some(Dynamic::none(
                "the time was up before gates could be tried; allow more with --time-budget",
            ));
            return Ok(outcome);
        }
        let base = outcome.model.as_ref().unwrap_or(&original);
        outcome.dynamic = Some(dynamic::dynamic(
            workloads,
            device,
            (&original, base, outcome.macs.1),
            (options, &data),
            dynamics,
            (reporter, &limit),
        )?);
    }
    Ok(outcome)
}

/// What comes out, at once, where no width may change and nothing else can be made.
fn refused(workloads: &[Workload], device: &dyn Device, options: &Options) -> Option<Outcome> {
    let opened = &workloads.first()?.opened;
    let why = opened.nothing_to_change(options.goals.any())?;
    let calibrated = |d: Dynamics| options.calib.is_some() || d.keep.is_some();
    // Gates need convolutions, but no width that may change.
    let gates = options.dynamics.is_some_and(calibrated) && !options.goals.any();
    if gates && !opened.timed.is_empty() {
        return None;
    }
    let mut outcome = Outcome::new(opened, device.info(), &Candidates::new(), Probes::default());
    outcome.nothing(&why);
    outcome.nothing_to_change = true;
    outcome.dynamic = options
        .dynamics
        .map(|_| Dynamic::none("there is nothing to make it from"));
    Some(outcome)
}

/// Plans that lose least at every latency, measured at some of them.
///
/// # Errors
/// When a probe or a run fails.
pub fn pareto(
    workloads: &[Workload],
    device: &dyn Device,
    database: Option<Database>,
    options: &Options,
    measured: usize,
    reporter: &dyn ProgressReporter,
) -> Result<Vec<ParetoRow>> {
    let known = Known {
        database,
        ..Known::default()
    };
    let limit = limit(device, options);
    let data = datasets(workloads, device, options, reporter)?;
    prepared(
        (workloads, device),
        (known, &data),
        options,
        (reporter, &limit),
        |p, costs, prober| {
            let mut narrowing = p.narrowing()?;
            let search = narrowing.search(costs, prober)?;
            let rows = narrowing.pareto(&search, measured)?;
            prober.untraced.iter().for_each(|why| reporter.note(why));
            Ok(rows)
        },
    )
}

/// The samples that the options name, as the first load takes them.
fn datasets(
    workloads: &[Workload],
    device: &dyn Device,
    options: &Options,
    reporter: &dyn ProgressReporter,
) -> Result<Datasets> {
    match workloads.first() {
        Some(workload) => Datasets::read(&workload.opened, device, options, reporter),
        None => Ok(Datasets::default()),
    }
}

/// Until when a job goes on.
fn limit(device: &dyn Device, options: &Options) -> Limit {
    Limit::new(
        device.stop(),
        options.time_budget.and_then(|b| Instant::now().checked_add(b)),
    )
}

/// Seconds for a race that usually takes `usual`: few when less is left.
fn racing(limit: &Limit, usual: f64) -> f64 {
    let left = limit.at_most(Duration::from_secs_f64(usual)).as_secs_f64();
    if left < usual { SHORT_SECONDS.min(usual) } else { usual }
}

/// The least agreement of all workloads.
fn agreement(
    device: &dyn Device,
    original: &[u8],
    model: &[u8],
    workloads: &[Workload],
    seed: u64,
) -> Result<Agreement> {
    let mut least: Option<Agreement> = None;
    for workload in workloads {
        let found = compare(device, original, model, &workload.opened.specs, seed, 3)?;
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
        pruned: prober.left_out(),
        exhaustive: costs.exhaustive(candidates, &base.to_vec()),
    }
}

/// A key for what is remembered of whole models: what was done, for how long, to which models and inputs.
fn whole_key(what: &str, models: &[&[u8]], workloads: &[(Vec<Named>, f64)], seconds: f64) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(format!("{what} {seconds} ").as_bytes());
    for (name, tensor, weight) in workloads
        .iter()
        .flat_map(|(i, w)| i.iter().map(move |(n, t)| (n, t, w)))
    {
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
    let known = database.remembered(prober.device().info(), key)?;
    Ok(known.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Has the database remember something, if there is one.
fn remember<T: serde::Serialize>(prober: &Prober, key: &str, made: &T) -> Result<()> {
    let Some(database) = prober.database() else {
        return Ok(());
    };
    database.remember(
        prober.device().info(),
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
