//! The order in which each group's channels go, from what the layers that read them see.

use std::collections::{BTreeMap, HashMap};

use faer::Mat;

use super::greedy::rank;
use super::layer_consumer::LayerConsumer;
use super::statistics::Statistics;
use crate::channels::{Analysis, Group};
use crate::onnx::Graph;
use crate::ops::LinearOp;

/// λ over the mean of a covariance's diagonal.
pub const RIDGE: f64 = 1e-2;

/// A layer's weights after some channels that it reads have gone and the others took over.
#[derive(Clone, Debug)]
pub struct Compensated {
    /// The layer's node.
    pub node: usize,
    /// The group of the layer.
    pub part: usize,
    /// Outputs of the group × its columns, zero for what went.
    pub weights: Mat<f64>,
    /// What the bias of each output of the group gains.
    pub bias: Vec<f64>,
}

/// How a group's channels go.
#[derive(Clone, Debug, Default)]
pub struct Ranked {
    /// Channels, first to go first.
    pub order: Vec<u32>,
    /// Summed relative error of the layers that read the group after each number of removals.
    pub errors: Vec<f64>,
    /// The readers with so many channels gone.
    pub compensated: BTreeMap<usize, Vec<Compensated>>,
}

/// Where a group is read: layer (index into the mixers), group of the layer, and for each channel its columns.
struct GroupInput {
    linear_op: usize,
    part: usize,
    columns: Vec<Vec<usize>>,
}

/// Where every channel of a group is read; `None` when something else than a followed layer reads it, or nothing.
fn places(group: &Group, analysis: &Analysis, linear_ops: &[LinearOp]) -> Option<Vec<GroupInput>> {
    let dependencies = &analysis.dependencies;
    let number: HashMap<u32, usize> = group.classes.iter().enumerate().map(|(i, &c)| (c, i)).collect();
    let mut found: Vec<GroupInput> = Vec::new();
    for role in dependencies
        .roles
        .iter()
        .filter(|r| !r.output && group.consumers.contains(&r.node))
    {
        let dim = dependencies.dims(role.value)[role.axis];
        let class = |i: usize| dependencies.class(dependencies.atom(role.value, role.axis, i));
        if !(0..dim).any(|i| number.contains_key(&class(i))) {
            continue;
        }
        let at = linear_ops
            .iter()
            .position(|m| m.node == role.node && m.input == dependencies.value(role.value).name)?;
        let linear_op = &linear_ops[at];
        if linear_op.is_depthwise() {
            continue;
        }
        if dim != linear_op.input_channels() {
            return None;
        }
        for part in 0..linear_op.groups() {
            let mut columns = vec![Vec::new(); group.classes.len()];
            for i in 0..linear_op.inputs {
                if let Some(&c) = number.get(&class(part * linear_op.inputs + i)) {
                    columns[c].extend(i * linear_op.taps..(i + 1) * linear_op.taps);
                }
            }
            if columns.iter().any(|c| !c.is_empty()) {
                found.push(GroupInput {
                    linear_op: at,
                    part,
                    columns,
                });
            }
        }
    }
    (!found.is_empty()).then_some(found)
}

/// The layers that read free groups with more than one channel, in graph order: those whose inputs are worth
/// looking at.
pub fn reading(analysis: &Analysis, linear_ops: &[LinearOp]) -> Vec<LinearOp> {
    let mut wanted = vec![false; linear_ops.len()];
    let free = analysis
        .groups
        .iter()
        .filter(|g| g.constraint.is_none() && g.classes.len() > 1);
    for place in free.filter_map(|g| places(g, analysis, linear_ops)).flatten() {
        wanted[place.linear_op] = true;
    }
    linear_ops
        .iter()
        .zip(wanted)
        .filter(|(_, w)| *w)
        .map(|(m, _)| m.clone())
        .collect()
}

/// Weights of one group of a layer, outputs × columns.
fn part_weights(linear_op: &LinearOp, rows: &[f32], part: usize) -> Mat<f64> {
    let (outputs, columns) = (linear_op.group_outputs(), linear_op.columns());
    Mat::from_fn(outputs, columns, |o, j| {
        f64::from(rows[(part * outputs + o) * columns + j])
    })
}

/// What is asked of a ranking.
#[derive(Clone, Copy, Debug)]
pub struct RankRequest<'a> {
    /// Channels that carry nothing, and go before all others.
    pub first: &'a [u32],
    /// How many channels are left at least.
    pub least: usize,
    /// Numbers of removals whose weights are kept.
    pub keep_at: &'a [usize],
}

impl Ranked {
    /// A ranking of nothing but the channels that carry nothing; `None` without any.
    fn carrying_nothing(channels: usize, request: RankRequest) -> Option<Self> {
        let goes = request.first.len().min(channels.saturating_sub(request.least));
        (goes > 0).then(|| Self {
            order: request.first[..goes].to_vec(),
            errors: vec![0.0; goes + 1],
            compensated: BTreeMap::new(),
        })
    }
}

/// Ranks the channels of one group. Where no layer that can be judged reads them, only those that carry nothing are
/// ranked; `None` when there are none.
pub fn rank_group(
    group: &Group,
    graph: &Graph,
    analysis: &Analysis,
    linear_ops: &[LinearOp],
    statistics: &Statistics,
    request: RankRequest,
) -> Option<Ranked> {
    let Some(places) = places(group, analysis, linear_ops) else {
        return Ranked::carrying_nothing(group.classes.len(), request);
    };
    let mut consumers = Vec::new();
    for place in &places {
        let linear_op = &linear_ops[place.linear_op];
        let weights = part_weights(linear_op, &linear_op.weights(graph)?, place.part);
        consumers.push(match statistics.whole.get(&linear_op.node) {
            Some(m) => LayerConsumer::new(weights, m.covariance(place.part), RIDGE, place.columns.clone()),
            None => {
                let single = statistics.single.get(&linear_op.node)?;
                let variance: Vec<f64> = (0..linear_op.inputs)
                    .flat_map(|i| {
                        let own = single.covariance(place.part * linear_op.inputs + i);
                        (0..linear_op.taps).map(move |t| own[(t, t)])
                    })
                    .collect();
                LayerConsumer::uncorrelated(weights, &variance, place.columns.clone())
            }
        });
    }
    let number = |class: &u32| group.classes.iter().position(|c| c == class);
    let first: Vec<usize> = request.first.iter().filter_map(number).collect();
    let ranking = rank(consumers, group.classes.len(), &first, request.least, request.keep_at);
    let mut ranked = Ranked {
        order: ranking.order.iter().map(|&c| group.classes[c]).collect(),
        errors: ranking.errors,
        compensated: BTreeMap::new(),
    };
    for (gone, weights) in ranking.snapshots {
        let mut list = Vec::new();
        for (place, now) in places.iter().zip(weights) {
            let linear_op = &linear_ops[place.linear_op];
            let before = part_weights(linear_op, &linear_op.weights(graph)?, place.part);
            let means = means(statistics, linear_op, place.part)?;
            let lost = &before - &now;
            let bias = (0..lost.nrows())
                .map(|o| (0..lost.ncols()).map(|j| lost[(o, j)] * means[j]).sum())
                .collect();
            list.push(Compensated {
                node: linear_op.node,
                part: place.part,
                weights: now,
                bias,
            });
        }
        ranked.compensated.insert(gone, list);
    }
    Some(ranked)
}

fn means(statistics: &Statistics, linear_op: &LinearOp, part: usize) -> Option<Vec<f64>> {
    if let Some(whole) = statistics.whole.get(&linear_op.node) {
        return Some(whole.means(part));
    }
    let single = statistics.single.get(&linear_op.node)?;
    Some(
        (0..linear_op.inputs)
            .flat_map(|i| single.means(part * linear_op.inputs + i))
            .collect(),
    )
}
