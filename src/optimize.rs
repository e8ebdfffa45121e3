//! The main job: from a model and a device to a faster model, or to the reason why there is none.

mod choose;
mod input;
mod outcome;

pub use input::{Opened, open};
pub use outcome::{GroupRow, Outcome};

use crate::channels::Analysis;
use crate::onnx::encode;
use crate::plan::{Costs, Plan, candidates, removable, search};
use crate::profile::{Database, Prober, Profile, in_model, layers};
use crate::target::{ShapeOptions, Target, random_inputs};
use crate::verify::{Verdict, compare};
use crate::{Error, Result};

/// What the user asks for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Extents of symbolic axes.
    pub shapes: ShapeOptions,
    /// Seed of the random inputs.
    pub seed: u64,
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

/// Optimizes an opened model on a device.
///
/// # Errors
/// When a probe or a run fails. That no plan helps is no error: see [`Outcome::model`].
pub fn optimize(
    opened: &Opened,
    target: &dyn Target,
    database: Option<Database>,
    recorded: Option<Profile>,
    options: &Options,
    watcher: &dyn Watcher,
) -> Result<Outcome> {
    let graph = opened.graph()?;
    let analysis = &opened.analysis;
    let layers = layers(&graph, analysis);
    let mut prober = Prober::new(target, database);
    if let Some(profile) = recorded {
        if profile.device.fingerprint != target.info().fingerprint || profile.device.stack != target.info().stack {
            return Err(Error::Usage(format!(
                "the profile was recorded on {} ({}), this is {} ({}); record one here with `snapprune profile`",
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
    let candidates = candidates(analysis, &spare);
    let mut costs = Costs::new(analysis, &layers);
    let inputs = random_inputs(&opened.specs, options.seed, 1.0)?;
    let original = encode(&opened.proto);
    let base = counts(analysis, &Plan::default());
    watcher.step("timing widths");
    costs.require(&mut prober, &[(costs.all(), base.clone())], &|done, total| {
        watcher.progress(done, total)
    })?;
    let seen = target
        .node_times(&original, &inputs, 3, 15)?
        .map(|nodes| in_model(&graph, &layers, &nodes));
    if let Some(seen) = &seen {
        costs.correct(seen, &base);
    }
    let found = search(analysis, &candidates, &mut costs, &mut prober, &|done, total| {
        watcher.progress(done, total);
    })?;
    let job = choose::Job {
        opened,
        graph: &graph,
        target,
        original: &original,
        inputs: &inputs,
        removable: &removable,
    };
    watcher.step("measuring whole models");
    let chosen = job.choose(&found, &costs, CHOOSING_SECONDS, watcher)?;
    let all = costs.all();
    let plan = chosen.as_ref().map(|c| c.plan.clone()).unwrap_or_default();
    costs.require(&mut prober, &[(all, counts(analysis, &plan))], &|_, _| {})?;
    let mut outcome = Outcome::new(opened, target.info(), &candidates, (prober.made, prober.reused));
    let Some(chosen) = chosen else {
        outcome.nothing(if found.is_empty() {
            "every width that may change stands where this machine runs it best"
        } else {
            "no plan was measured to be faster than the original beyond the noise"
        });
        return Ok(outcome);
    };
    watcher.step("verifying");
    let model = encode(&chosen.proto);
    let agreement = compare(target, &original, &model, &opened.specs, options.seed, 3)?;
    let lanes = crate::verify::race(target, &[&original, &model], &inputs, FINAL_SECONDS)?;
    outcome.measured(&lanes, agreement.clone());
    if !agreement.holds() {
        outcome.nothing("the rewritten model's outputs differ; please report this model");
        return Ok(outcome);
    }
    if lanes[1].verdict() != Verdict::Faster || lanes[1].ratio() > WORTH_A_FILE {
        outcome.nothing("the best plan was not faster by 1 % beyond the noise when measured again");
        return Ok(outcome);
    }
    outcome.fill(opened, &graph, &chosen.plan, &chosen.proto, &removable, &costs);
    outcome.model = Some(model);
    Ok(outcome)
}

/// Channel counts of all groups under a plan.
pub fn counts(analysis: &Analysis, plan: &Plan) -> Vec<usize> {
    let present = |id: usize| analysis.groups[id].classes.len();
    (0..analysis.groups.len())
        .map(|id| plan.counts.get(&id).copied().unwrap_or_else(|| present(id)))
        .collect()
}
