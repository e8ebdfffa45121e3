//! What is known of the loss of channels: rankings and measured losses of every group.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Opened, Watcher};
use crate::Result;
use crate::channels::{ClassChange, Edits, Group};
use crate::data::Dataset;
use crate::onnx::Graph;
use crate::plan::{Curve, Plan, Removable};
use crate::refit::with_compensated;
use crate::rewrite::rewrite;
use crate::score::{Compensated, Ranked, Reference, Statistics, Walk, mixers, rank_group, reading};
use crate::target::Target;

/// Places of every sample that the layers' inputs are looked at.
const PLACES: usize = 48;
/// Samples that losses are measured on, at most.
const JUDGES: usize = 512;

/// Samples for calibration: those that weights are fitted on, and those that they are judged on.
#[derive(Clone, Debug)]
pub struct Samples {
    /// All of them.
    pub data: Dataset,
    /// Runs to fit on.
    pub fit: Range<usize>,
    /// Runs to judge on: others, unless there is only one run.
    pub judge: Range<usize>,
}

impl Samples {
    /// Four fifths to fit on, the rest to judge on.
    pub fn new(data: Dataset) -> Self {
        let runs = data.runs();
        let split = if runs > 1 { (runs * 4 / 5).clamp(1, runs - 1) } else { 0 };
        Self {
            data,
            fit: 0..if runs > 1 { split } else { runs },
            judge: split..runs,
        }
    }

    /// The first of the runs to judge on, up to so many samples.
    fn few(&self, samples: usize) -> Range<usize> {
        let runs = samples.div_ceil(self.data.batch()).max(1);
        self.judge.end.saturating_sub(runs)..self.judge.end
    }
}

/// What losing channels costs.
#[derive(Debug, Default)]
pub struct Knowledge {
    /// The order in which the channels of each group go.
    pub ranked: BTreeMap<usize, Vec<u32>>,
    /// The loss of each group by its width.
    pub curves: BTreeMap<usize, Curve>,
}

/// Ranks all groups with options below their width, and measures what narrowing each alone does to the model's outputs.
///
/// # Errors
/// When the model cannot be run in parts.
pub(super) fn learn(
    (opened, graph): (&Opened, &Graph),
    target: &dyn Target,
    samples: &Samples,
    (narrower, removable): (&BTreeMap<usize, Vec<usize>>, &Removable),
    seed: u64,
    watcher: &dyn Watcher,
) -> Result<Knowledge> {
    let analysis = &opened.analysis;
    let layers = mixers(graph);
    watcher.step("calibrating");
    let mut walk = Walk::new(target, &samples.data, samples.fit.clone())?;
    let parts = (&opened.proto, graph, analysis);
    let wanted = reading(analysis, &layers);
    let statistics = Statistics::collect(&mut walk, parts, &wanted, PLACES, seed, &|done, total| {
        watcher.progress(done, total)
    })?;
    drop(walk);
    watcher.step("ranking channels");
    let mut rankings: BTreeMap<usize, Ranked> = BTreeMap::new();
    for (done, (&g, options)) in narrower.iter().enumerate() {
        watcher.progress(done, narrower.len());
        let group = &analysis.groups[g];
        let channels = group.classes.len();
        let stops: Vec<usize> = looked_at(channels, options).iter().map(|n| channels - n).collect();
        let first = removable.classes.get(&g).map(Vec::as_slice).unwrap_or_default();
        let least = options.first().copied().unwrap_or(channels);
        if let Some(ranked) = rank_group(group, graph, analysis, &layers, &statistics, (first, least, &stops)) {
            rankings.insert(g, ranked);
        }
    }
    drop(statistics);
    watcher.step("measuring losses");
    let losses = losses(opened, graph, target, samples, &rankings, watcher)?;
    let mut known = Knowledge::default();
    for (g, ranked) in rankings {
        let channels = analysis.groups[g].classes.len();
        let measured = losses.get(&g).map(Vec::as_slice).unwrap_or_default();
        known.curves.insert(g, Curve::new(channels, &ranked.errors, measured));
        known.ranked.insert(g, ranked.order);
    }
    Ok(known)
}

/// Without samples a group keeps at least this share of its channels, and what goes counts so many times more, the more
/// of the group it is.
const LEAST_SHARE: f64 = 0.5;
const CAREFUL: f64 = 4.0;

/// What can be told without samples: rankings by weights and guessed moments, losses by the layers' errors.
pub(super) fn guess(
    (opened, graph): (&Opened, &Graph),
    (narrower, removable): (&BTreeMap<usize, Vec<usize>>, &Removable),
) -> Knowledge {
    let analysis = &opened.analysis;
    let layers = mixers(graph);
    let statistics = Statistics::guessed(graph, analysis, &reading(analysis, &layers));
    let mut known = Knowledge::default();
    for (&g, options) in narrower {
        let group = &analysis.groups[g];
        let channels = group.classes.len();
        let careful = (channels as f64 * LEAST_SHARE).ceil() as usize;
        let spare = removable.classes.get(&g).map(Vec::as_slice).unwrap_or_default();
        let least = options
            .iter()
            .copied()
            .find(|&n| n >= careful.min(channels - spare.len().min(channels - 1)));
        let order = (spare, least.unwrap_or(channels), &[][..]);
        let Some(ranked) = rank_group(group, graph, analysis, &layers, &statistics, order) else {
            continue;
        };
        let errors: Vec<f64> = ranked
            .errors
            .iter()
            .enumerate()
            .map(|(gone, e)| e * (1.0 + CAREFUL * gone as f64 / channels as f64))
            .collect();
        known.curves.insert(g, Curve::new(channels, &errors, &[]));
        known.ranked.insert(g, ranked.order);
    }
    known
}

/// What the biases of readers gain under a plan made without samples: the guessed means of what went.
pub(super) fn guessed_biases(
    (opened, graph): (&Opened, &Graph),
    plan: &Plan,
    removable: &Removable,
) -> Vec<Compensated> {
    let analysis = &opened.analysis;
    let layers = mixers(graph);
    let statistics = Statistics::guessed(graph, analysis, &reading(analysis, &layers));
    let mut found = Vec::new();
    for (&g, &count) in &plan.counts {
        let group = &analysis.groups[g];
        let gone = group.classes.len().saturating_sub(count);
        let Some(order) = removable.ranked.get(&g).filter(|_| gone > 0) else {
            continue;
        };
        let order = (&order[..gone.min(order.len())], count, &[gone][..]);
        let ranked = rank_group(group, graph, analysis, &layers, &statistics, order);
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
fn narrowed(opened: &Opened, graph: &Graph, ranked: &Ranked, gone: usize) -> Result<crate::onnx::proto::ModelProto> {
    let analysis = &opened.analysis;
    let mut change = ClassChange::default();
    change.removed.extend(&ranked.order[..gone]);
    let edits = Edits::new(&analysis.coupling, &analysis.groups, &change);
    let pruned = rewrite(&opened.proto, graph, analysis, &change, &[])?;
    let list = ranked.compensated.get(&gone).map(Vec::as_slice).unwrap_or_default();
    with_compensated(pruned, graph, analysis, &edits, list)
}

/// The first node that a change of a group touches.
fn first_node(graph: &Graph, opened: &Opened, group: &Group) -> usize {
    let co = &opened.analysis.coupling;
    let mut change = ClassChange::default();
    change.removed.extend(&group.classes);
    let edits = Edits::new(co, &opened.analysis.groups, &change);
    let touched = |&n: &usize| {
        let node = &graph.proto.node[n];
        let inputs = (0..node.input.len()).filter_map(|i| crate::channels::input_value(co, node, n, i));
        let outputs = node.output.iter().filter_map(|o| co.by_name(o));
        node.op_type() != "Constant" && inputs.chain(outputs).any(|v| edits.touches(co, v))
    };
    (0..graph.proto.node.len()).find(touched).unwrap_or(0)
}

/// For every ranked group, the loss of the outputs at the widths with compensated readers.
fn losses(
    opened: &Opened,
    graph: &Graph,
    target: &dyn Target,
    samples: &Samples,
    rankings: &BTreeMap<usize, Ranked>,
    watcher: &dyn Watcher,
) -> Result<BTreeMap<usize, Vec<(usize, f64)>>> {
    let runs = samples.few(JUDGES);
    let mut reference = Reference::default();
    let mut walk = Walk::new(target, &samples.data, runs.clone())?;
    walk.finish(&opened.proto, graph, 0, &mut |_, outputs| {
        reference.push(&outputs);
        Ok(())
    })?;
    let groups = &opened.analysis.groups;
    let mut order: Vec<(usize, usize)> = rankings
        .keys()
        .map(|&g| (first_node(graph, opened, &groups[g]), g))
        .collect();
    order.sort_unstable();
    let mut found: BTreeMap<usize, Vec<(usize, f64)>> = BTreeMap::new();
    for (done, &(at, g)) in order.iter().enumerate() {
        watcher.progress(done, order.len());
        walk.advance(&opened.proto, graph, at, &[])?;
        let ranked = &rankings[&g];
        for &gone in ranked.compensated.keys() {
            let model = narrowed(opened, graph, ranked, gone)?;
            let own = Graph::of(&model)?;
            let name = graph.proto.node[at].output.iter().find(|n| !n.is_empty());
            let from = name.and_then(|n| own.producer.get(n.as_str())).copied().unwrap_or(0);
            let (mut sum, mut count) = (0.0, 0.0f64);
            walk.finish(&model, &own, from, &mut |run, outputs| {
                sum += reference.loss(run, &outputs);
                count += 1.0;
                Ok(())
            })?;
            let left = groups[g].classes.len() - gone;
            found.entry(g).or_default().push((left, sum / count.max(1.0)));
        }
    }
    Ok(found)
}
