//! What is known of the loss of channels: rankings and measured losses of every group.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::Result;
use crate::channels::{ChannelChange, Group, IndexRemaps};
use crate::device::Limit;
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::ops::LinearOp;
use crate::optimize::reporter::Step;
use crate::optimize::samples::{JUDGES, Samples};
use crate::optimize::session::Session;
use crate::plan::{LossCurve, Plan};
use crate::reconstruct::with_compensated;
use crate::rewrite::rewrite;
use crate::score::{
    Compensated, RankRequest, Ranked, Reference, Rest, StagedExecutor, Statistics, Watch, crossing_bytes, linear_ops,
    rank_group, reading, value_bytes,
};

/// Places of every sample that the layers' inputs are looked at.
const PLACES: usize = 48;

/// What losing channels costs.
#[derive(Debug, Default)]
pub(super) struct Sensitivity {
    /// The order in which the channels of each group go.
    pub ranked: BTreeMap<usize, Vec<u32>>,
    /// The loss of each group by its width.
    pub curves: BTreeMap<usize, LossCurve>,
    /// Groups of which even the guess knows nothing: an operator before the layers that read them has no rule.
    pub blind: BTreeSet<usize>,
}

/// Ranks all groups with options below their width, and measures what narrowing each alone does to the model's outputs.
///
/// # Errors
/// When the model cannot be run in parts.
pub(super) fn analyze(
    session: &Session,
    samples: &Samples,
    narrower: &BTreeMap<usize, Vec<usize>>,
) -> Result<Sensitivity> {
    let (analysis, graph) = (session.analysis(), &session.graph);
    let (reporter, limit, seed) = (session.reporter, &session.limit, session.options.seed);
    let layers = linear_ops(graph);
    reporter.step(Step::Calibrate);
    let each = crossing_bytes(graph, analysis, samples.data.declared());
    let mut executor = StagedExecutor::new(session.device, &samples.data, samples.ranked_on(JUDGES))?.staying(each);
    let model = &session.opened.proto;
    let mut wanted = reading(analysis, &layers);
    wanted.retain(|l| narrower.keys().any(|&g| analysis.groups[g].consumers.contains(&l.node)));
    let progress = session.progress();
    let watch = Watch {
        limit,
        progress: &progress,
    };
    let mut statistics = Statistics::collect(&mut executor, model, graph, &wanted, PLACES, seed, watch)?;
    drop(executor);
    // What the time did not allow to look at is guessed.
    let left: Vec<LinearOp> = wanted.iter().filter(|m| !statistics.knows(m)).cloned().collect();
    statistics
        .single
        .extend(Statistics::guessed(graph, analysis, &left).single);
    reporter.step(Step::RankChannels);
    let mut rankings: BTreeMap<usize, Ranked> = BTreeMap::new();
    for (done, (&g, options)) in narrower.iter().enumerate() {
        reporter.progress(done, narrower.len());
        limit.check()?;
        if limit.is_up() && !rankings.is_empty() {
            break;
        }
        let group = &analysis.groups[g];
        let channels = group.classes.len();
        let stops: Vec<usize> = looked_at(channels, options).iter().map(|n| channels - n).collect();
        let first = session.removable.classes.get(&g).map(Vec::as_slice).unwrap_or_default();
        let least = options.first().copied().unwrap_or(channels);
        let request = RankRequest {
            first,
            least,
            keep_at: &stops,
        };
        if let Some(ranked) = rank_group(group, graph, analysis, &layers, &statistics, request) {
            rankings.insert(g, ranked);
        }
    }
    drop(statistics);
    reporter.step(Step::MeasureLosses);
    let losses = losses(session, samples, &rankings)?;
    let mut known = Sensitivity::default();
    for (g, ranked) in rankings {
        let channels = analysis.groups[g].classes.len();
        let measured = losses.get(&g).map(Vec::as_slice).unwrap_or_default();
        known
            .curves
            .insert(g, LossCurve::new(channels, &ranked.errors, measured));
        known.ranked.insert(g, ranked.order);
    }
    Ok(known)
}

/// Without samples a group keeps at least this share of its channels, and what goes counts so many times more, the more
/// of the group it is.
const LEAST_SHARE: f64 = 0.5;
const CAREFUL: f64 = 4.0;

/// What can be told without samples: rankings by weights and guessed moments, losses by the layers' errors.
pub(super) fn guess(session: &Session, narrower: &BTreeMap<usize, Vec<usize>>, limit: &Limit) -> Result<Sensitivity> {
    let (analysis, graph, reporter) = (session.analysis(), &session.graph, session.reporter);
    reporter.step(Step::RankChannels);
    let layers = linear_ops(graph);
    let statistics = Statistics::guessed(graph, analysis, &reading(analysis, &layers));
    let mut known = Sensitivity::default();
    for (done, (&g, options)) in narrower.iter().enumerate() {
        reporter.progress(done, narrower.len());
        limit.check()?;
        if limit.is_up() && !known.curves.is_empty() {
            break;
        }
        let group = &analysis.groups[g];
        let channels = group.classes.len();
        let careful = (channels as f64 * LEAST_SHARE).ceil() as usize;
        let spare = session.removable.classes.get(&g).map(Vec::as_slice).unwrap_or_default();
        let least = options
            .iter()
            .copied()
            .find(|&n| n >= careful.min(channels - spare.len().min(channels - 1)));
        let request = RankRequest {
            first: spare,
            least: least.unwrap_or(channels),
            keep_at: &[],
        };
        let Some(ranked) = rank_group(group, graph, analysis, &layers, &statistics, request) else {
            continue;
        };
        if group.consumers.iter().any(|n| statistics.blind.contains(n)) {
            known.blind.insert(g);
        }
        // What is known to carry nothing goes first and loses nothing; a guess alone never says so.
        let free = ranked.errors.get(spare.len()).copied().unwrap_or(f64::INFINITY);
        let errors: Vec<f64> = ranked
            .errors
            .iter()
            .enumerate()
            .map(|(gone, e)| (e - free).max(0.0) * (1.0 + CAREFUL * gone as f64 / channels as f64))
            .collect();
        known.curves.insert(g, LossCurve::new(channels, &errors, &[]));
        known.ranked.insert(g, ranked.order);
    }
    Ok(known)
}

/// What the biases of readers gain under a plan made without samples: the guessed means of what went.
pub(super) fn guessed_biases(session: &Session, plan: &Plan) -> Vec<Compensated> {
    let (analysis, graph) = (session.analysis(), &session.graph);
    let layers = linear_ops(graph);
    let statistics = Statistics::guessed(graph, analysis, &reading(analysis, &layers));
    let mut found = Vec::new();
    for (&g, &count) in &plan.counts {
        let group = &analysis.groups[g];
        let gone = group.classes.len().saturating_sub(count);
        let Some(order) = session.removable.ranked.get(&g).filter(|_| gone > 0) else {
            continue;
        };
        let request = RankRequest {
            first: &order[..gone.min(order.len())],
            least: count,
            keep_at: &[gone],
        };
        let ranked = rank_group(group, graph, analysis, &layers, &statistics, request);
        found.extend(ranked.into_iter().flat_map(|r| r.compensated.into_values().flatten()));
    }
    found
}

/// The few widths at which a group's loss is measured.
fn looked_at(channels: usize, options: &[usize]) -> Vec<usize> {
    let mut found: Vec<usize> = [0.9, 0.75, 0.6, 0.45, 0.3, 0.15]
        .iter()
        .filter_map(|share| {
            let wish = share * channels as f64;
            options
                .iter()
                .copied()
                .min_by(|&a, &b| (a as f64 - wish).abs().total_cmp(&(b as f64 - wish).abs()))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The model with the first `gone` channels of a group's ranking removed and the readers compensated.
fn narrowed(session: &Session, ranked: &Ranked, gone: usize) -> Result<ModelProto> {
    let (analysis, graph) = (session.analysis(), &session.graph);
    let mut change = ChannelChange::default();
    change.removed.extend(&ranked.order[..gone]);
    let remaps = IndexRemaps::new(&analysis.dependencies, &analysis.groups, &change);
    let pruned = rewrite(&session.opened.proto, graph, analysis, &change, &[])?;
    let list = ranked.compensated.get(&gone).map(Vec::as_slice).unwrap_or_default();
    with_compensated(pruned, graph, analysis, &remaps, list)
}

/// The original with the readers' weights that a ranking left with `gone` channels removed: as nothing reads these any more, it makes what the
/// narrower model makes.
fn masked(session: &Session, ranked: &Ranked, gone: usize) -> Result<ModelProto> {
    let (analysis, graph) = (session.analysis(), &session.graph);
    let list = ranked.compensated.get(&gone).map(Vec::as_slice).unwrap_or_default();
    let original = session.opened.proto.clone();
    with_compensated(original, graph, analysis, &IndexRemaps::default(), list)
}

/// The nodes from the first layer that reads a group to the last.
fn readers(ranked: &Ranked) -> Range<usize> {
    let nodes = || ranked.compensated.values().flatten().map(|c| c.node);
    nodes().min().unwrap_or(0)..nodes().max().map_or(0, |last| last + 1)
}

/// The nodes that a change of a group touches, from the first to the last.
fn touched_nodes(session: &Session, group: &Group) -> Range<usize> {
    let (analysis, graph) = (session.analysis(), &session.graph);
    let dependencies = &analysis.dependencies;
    let mut change = ChannelChange::default();
    change.removed.extend(&group.classes);
    let remaps = IndexRemaps::new(dependencies, &analysis.groups, &change);
    let touched = |&n: &usize| {
        let node = &graph.proto.node[n];
        let inputs = (0..node.input.len()).filter_map(|i| crate::channels::input_value(dependencies, node, n, i));
        let outputs = node.output.iter().filter_map(|o| dependencies.by_name(o));
        node.op_type() != "Constant" && inputs.chain(outputs).any(|v| remaps.touches(dependencies, v))
    };
    let count = graph.proto.node.len();
    let first = (0..count).find(touched).unwrap_or(0);
    first..(first..count).rfind(touched).map_or(count, |last| last + 1)
}

/// For every ranked group, the loss of the outputs at the widths with compensated readers.
fn losses(
    session: &Session,
    samples: &Samples,
    rankings: &BTreeMap<usize, Ranked>,
) -> Result<BTreeMap<usize, Vec<(usize, f64)>>> {
    let (graph, original) = (&session.graph, &session.opened.proto);
    let each = crossing_bytes(graph, session.analysis(), samples.data.declared());
    let executor = StagedExecutor::new(session.device, &samples.data, samples.lost_on(JUDGES))?;
    let mut executor = executor.staying(each);
    let reference = Reference::of(&executor, original, graph, &samples.judged)?;
    let groups = &session.analysis().groups;
    // Where a model takes longer to load than to run, all widths of a group share one that is as wide as the original.
    let shares = session.device.memory().is_some();
    let touched = |(&g, ranked): (&usize, &Ranked)| match shares {
        true => (readers(ranked), g),
        false => (touched_nodes(session, &groups[g]), g),
    };
    let mut order: Vec<(Range<usize>, usize)> = rankings.iter().map(touched).collect();
    order.sort_unstable_by_key(|(nodes, g)| (nodes.start, *g));
    let mut found: BTreeMap<usize, Vec<(usize, f64)>> = BTreeMap::new();
    let ends = order.iter().map(|(nodes, _)| nodes.end);
    let all = value_bytes(session.analysis(), samples.data.declared());
    let mut rest = Rest::new(original, graph, ends, &executor, all);
    for (done, (nodes, g)) in order.iter().enumerate() {
        let (at, g) = (nodes.start, *g);
        session.reporter.progress(done, order.len());
        if session.limit.is_up() {
            break;
        }
        executor.advance(original, graph, at, &[])?;
        let ranked = &rankings[&g];
        for &gone in ranked.compensated.keys() {
            let model = match shares {
                true => masked(session, ranked, gone)?,
                false => narrowed(session, ranked, gone)?,
            };
            let own = Graph::of(&model)?;
            let name = graph.proto.node[at].output.iter().find(|n| !n.is_empty());
            let from = name.and_then(|n| own.producer.get(n.as_str())).copied().unwrap_or(0);
            let lost = reference
                .judge_beginning(&executor, &model, &own, from, (&mut rest, nodes.end))?
                .loss();
            let left = groups[g].classes.len() - gone;
            found.entry(g).or_default().push((left, lost));
        }
    }
    Ok(found)
}
