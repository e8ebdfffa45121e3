//! What it loses that a residual branch goes as a whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::Result;
use crate::channels::{Branch, IndexRemaps};
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::optimize::reporter::Step;
use crate::optimize::samples::{JUDGES, Samples};
use crate::optimize::session::Session;
use crate::plan::{LossCurve, Plan, SearchSpace};
use crate::reconstruct::{Change, FitSamples, Settings, reconstruct};
use crate::score::{Reference, StagedExecutor, Watch};

/// Layers around a branch that make up for it while it is judged alone: those in front of the sum, and those right behind.
const LAYERS: usize = 4;
/// Samples that these are fitted on, at most.
const FITTED: usize = 256;
/// A branch that nothing is lost without is still no more than a choice.
const LEAST: f64 = 1e-9;

/// Measures what is lost without each branch that may go, the layers around it fitted, and adds it to the curves of the groups within: each
/// has an equal part of it, as they go together or not at all. Branches of which that is known already are left.
///
/// # Errors
/// When the model cannot be run in parts.
pub(super) fn measure_gone(
    session: &Session,
    space: &SearchSpace,
    curves: &mut BTreeMap<usize, LossCurve>,
) -> Result<()> {
    let Some(samples) = &session.samples else {
        return Ok(());
    };
    let known = |g: &usize| curves.get(g).is_some_and(|c| c.at(0).is_some());
    let may_go = |b: &&Branch| b.groups.iter().all(|&g| space.may_go(g)) && !b.groups.iter().all(known);
    let branches: Vec<&Branch> = session.analysis().branches.values().filter(may_go).collect();
    if branches.is_empty() {
        return Ok(());
    }
    session.reporter.step(Step::MeasureLosses);
    let original = &session.opened.proto;
    let executor = StagedExecutor::new(session.device, &samples.data, samples.lost_on(JUDGES))?;
    let reference = Reference::of(&executor, original, &session.graph, &samples.judged)?;
    for (done, branch) in branches.iter().enumerate() {
        session.reporter.progress(done, branches.len());
        session.limit.check()?;
        if session.limit.is_up() {
            break;
        }
        // What the layer in front makes behind an activation may fit worse than it stands: the final fit is judged likewise.
        let mut lost = f64::INFINITY;
        for model in without(session, samples, branch)? {
            lost = lost.min(reference.judge(&executor, &model, &Graph::of(&model)?, 0)?.loss());
        }
        for &g in &branch.groups {
            let part = (lost / branch.groups.len() as f64).max(LEAST);
            let nothing_else = || LossCurve::new(session.analysis().groups[g].classes.len(), &[0.0], &[]);
            let curve = curves.remove(&g).unwrap_or_else(nothing_else);
            curves.insert(g, curve.or_gone(part));
        }
    }
    session.reporter.progress(branches.len(), branches.len());
    Ok(())
}

/// The model without a branch: as it is, and with the layers around it fitted.
fn without(session: &Session, samples: &Samples, branch: &Branch) -> Result<[ModelProto; 2]> {
    let plan = Plan {
        branches: BTreeSet::from([branch.add]),
        ..Plan::default()
    };
    let remaps = IndexRemaps::default();
    let change = Change {
        branches: &plan.branches,
        model: &session.opened.proto,
        graph: &session.graph,
        analysis: session.analysis(),
        remaps: &remaps,
    };
    let runs = samples.ranked_on(JUDGES);
    let few = FITTED.div_ceil(samples.data.batch().max(1)).min(runs.len());
    let on = FitSamples {
        data: &samples.data,
        runs: runs.start..runs.start + few,
        judge: 0..0,
    };
    let settings = Settings {
        layers: LAYERS,
        steps: 0,
        seed: session.options.seed,
        ..Settings::default()
    };
    let watch = Watch {
        limit: &session.limit,
        progress: &|_, _| {},
    };
    let unfitted = session.rewritten(&plan)?;
    let fitted = reconstruct(session.device, change, unfitted.clone(), on, settings, watch)?;
    Ok([unfitted, fitted.proto])
}
