//! What it loses that a residual branch goes as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::Result;
use crate::channels::{Branch, IndexRemaps};
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::optimize::reporter::Step;
use crate::optimize::samples::JUDGES;
use crate::optimize::session::Session;
use crate::plan::{LossCurve, Plan, SearchSpace};
use crate::reconstruct::{Change, Settings, fitted_nodes, reconstruct_from, same_place};
use crate::score::{Reference, Rest, StagedExecutor, Watch, crossing_bytes, value_bytes};

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
    let (original, graph) = (&session.opened.proto, &session.graph);
    let mut trials: Vec<Trial> = Vec::new();
    for &branch in &branches {
        trials.push(Trial::of(session, branch)?);
    }
    trials.sort_by_key(|t| (t.nodes.start, t.branch.add));
    let each = crossing_bytes(graph, session.analysis(), samples.data.declared());
    let mut judging = StagedExecutor::new(session.device, &samples.data, samples.lost_on(JUDGES))?.staying(each);
    let reference = Reference::of(&judging, original, graph, &samples.judged)?;
    let runs = samples.ranked_on(JUDGES);
    let few = FITTED.div_ceil(samples.data.batch().max(1)).min(runs.len());
    let mut fitting = StagedExecutor::new(session.device, &samples.data, runs.start..runs.start + few)?.staying(each);
    let ends = trials.iter().map(|t| t.nodes.end);
    let all = value_bytes(session.analysis(), samples.data.declared());
    let mut rest = Rest::new(original, graph, ends, &judging, all);
    for (done, trial) in trials.iter().enumerate() {
        session.reporter.progress(done, branches.len());
        session.limit.check()?;
        if session.limit.is_up() {
            break;
        }
        let (Range { start, end }, branch) = (trial.nodes.clone(), trial.branch);
        fitting.advance(original, graph, start, &[])?;
        judging.advance(original, graph, start, &[])?;
        // What the layer in front makes behind an activation may fit worse than it stands: the final fit is judged likewise.
        let mut lost = f64::INFINITY;
        for model in trial.models(session, &fitting)? {
            let own = Graph::of(&model)?;
            let from = same_place(graph, &own, start);
            let judged = reference.judge_beginning(&judging, &model, &own, from, (&mut rest, end))?;
            lost = lost.min(judged.loss());
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

/// A branch without which the model is tried.
struct Trial<'a> {
    branch: &'a Branch,
    plan: Plan,
    /// The model without it, its weights as they were.
    unfitted: ModelProto,
    /// Nodes of the original from the first one that is fitted or goes, to the last.
    nodes: Range<usize>,
}

impl<'a> Trial<'a> {
    fn of(session: &Session<'a>, branch: &'a Branch) -> Result<Self> {
        let plan = Plan {
            branches: BTreeSet::from([branch.add]),
            ..Plan::default()
        };
        let remaps = IndexRemaps::default();
        let change = change(session, &plan, &remaps);
        let unfitted = session.rewritten(&plan)?;
        let fitted = fitted_nodes(change, &unfitted, settings(session))?;
        let gone = branch.nodes.iter().copied().chain([branch.add]);
        let all: Vec<usize> = gone
            .chain(fitted.iter().flat_map(|f| [f.start, f.end.saturating_sub(1)]))
            .collect();
        let first = all.iter().min().copied().unwrap_or(0);
        let last = all.iter().max().copied().unwrap_or(0);
        Ok(Self {
            branch,
            plan,
            unfitted,
            nodes: first..last + 1,
        })
    }

    /// The model without the branch: as it is, and with the layers around it fitted on what the original makes up to there.
    fn models(&self, session: &Session, fitting: &StagedExecutor) -> Result<[ModelProto; 2]> {
        let remaps = IndexRemaps::default();
        let change = change(session, &self.plan, &remaps);
        let watch = Watch {
            limit: &session.limit,
            progress: &|_, _| {},
        };
        let fitted = reconstruct_from(fitting, change, self.unfitted.clone(), settings(session), watch)?;
        Ok([self.unfitted.clone(), fitted.proto])
    }
}

/// What it changes that the branches of a plan go.
fn change<'c>(session: &'c Session, plan: &'c Plan, remaps: &'c IndexRemaps) -> Change<'c> {
    Change {
        branches: &plan.branches,
        model: &session.opened.proto,
        graph: &session.graph,
        analysis: session.analysis(),
        remaps,
    }
}

fn settings(session: &Session) -> Settings {
    Settings {
        layers: LAYERS,
        steps: 0,
        seed: session.options.seed,
        ..Settings::default()
    }
}
