//! Channels that may go without any change of the outputs: those that nobody reads, and those that
//! hold one known number, which then goes into the bias of who reads them.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::constants::constant_levels;
use crate::channels::constant_channels::Levels;
use crate::channels::{Analysis, ChannelChange, Group, Role, input_value};
use crate::onnx::Graph;
use crate::onnx::proto::NodeProto;
use crate::ops::{Direction, Form, LinearOp, LinearSpec, float_constant_dims};

/// What must be added to a consumer's bias when a constant channel goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    /// Index of the consumer.
    pub node: usize,
    /// One addend for each of its output channels.
    pub bias: Vec<f32>,
}

/// Removable channels.
#[derive(Clone, Debug, Default)]
pub struct Removable {
    /// Classes by group number, in order.
    pub classes: BTreeMap<usize, Vec<u32>>,
    /// Bias changes by class.
    pub folds: HashMap<u32, Vec<Fold>>,
    /// All channels of a group in the order in which they go, those above first; where they have been ranked.
    pub ranked: BTreeMap<usize, Vec<u32>>,
}

/// A layer that reads channels, with its weights: outputs × (inputs of a group · taps).
struct FoldingConsumer {
    layer: LinearOp,
    weights: Vec<f32>,
    /// Whether a constant input becomes a constant in the output: no padding around it.
    foldable: bool,
}

impl FoldingConsumer {
    /// The sum over taps of each output channel's weights on one input; whether all are zero.
    fn column(&self, input: usize) -> (Vec<f32>, bool) {
        let mut zero = true;
        let l = &self.layer;
        let (group, input) = (input / l.inputs, input % l.inputs);
        let sums = (0..l.outputs)
            .map(|o| {
                if o / l.group_outputs() != group {
                    return 0.0;
                }
                let at = o * l.columns() + input * l.taps;
                let taps = &self.weights[at..at + l.taps];
                zero &= taps.iter().all(|&w| w == 0.0);
                taps.iter().sum()
            })
            .collect();
        (sums, zero)
    }
}

/// The bias changes that keep the outputs when `change` removes constant channels, and how many of the removed
/// channels are neither constant nor unread, so that outputs change.
pub fn folds_of(change: &ChannelChange, removable: &Removable) -> (Vec<Fold>, usize) {
    let spare: HashSet<u32> = removable.classes.values().flatten().copied().collect();
    let mut folds: BTreeMap<usize, Fold> = BTreeMap::new();
    let mut removed: Vec<u32> = change.removed.iter().copied().collect();
    removed.sort_unstable();
    for fold in removed.iter().filter_map(|c| removable.folds.get(c)).flatten() {
        match folds.get_mut(&fold.node) {
            Some(sum) => sum.bias.iter_mut().zip(&fold.bias).for_each(|(a, b)| *a += b),
            None => {
                folds.insert(fold.node, fold.clone());
            }
        }
    }
    let carrying = removed.iter().filter(|c| !spare.contains(c)).count();
    (folds.into_values().collect(), carrying)
}

/// Finds the channels of unconstrained groups that may go.
pub fn removable(graph: &Graph, analysis: &Analysis) -> Removable {
    let levels = constant_levels(graph, analysis);
    let mut consumers: HashMap<usize, Option<FoldingConsumer>> = HashMap::new();
    let mut found = Removable::default();
    for group in analysis.groups.iter().filter(|g| g.constraint.is_none()) {
        let roles: Vec<&Role> = analysis
            .dependencies
            .roles
            .iter()
            .filter(|r| !r.output && group.consumers.contains(&r.node))
            .collect();
        for role in &roles {
            consumers
                .entry(role.node)
                .or_insert_with(|| consumer(graph, analysis, role));
        }
        let mut places = positions(analysis, group, &roles);
        let mut spare = Vec::new();
        for &class in &group.classes {
            let read = places.remove(&class).unwrap_or_default();
            if let Some(folds) = may_go(graph, analysis, &roles, &read, &levels, &consumers) {
                spare.push(class);
                found.folds.insert(class, folds);
            }
        }
        if !spare.is_empty() {
            found.classes.insert(group.id, spare);
        }
    }
    found
}

/// Where each channel of a group lies on each role's axis: (role, index).
fn positions(analysis: &Analysis, group: &Group, roles: &[&Role]) -> HashMap<u32, Vec<(usize, usize)>> {
    let mut places: HashMap<u32, Vec<(usize, usize)>> = group.classes.iter().map(|&c| (c, vec![])).collect();
    let dependencies = &analysis.dependencies;
    for (k, role) in roles.iter().enumerate() {
        for i in 0..dependencies.dims(role.value)[role.axis] {
            let class = dependencies.class(dependencies.atom(role.value, role.axis, i));
            if let Some(list) = places.get_mut(&class) {
                list.push((k, i));
            }
        }
    }
    places
}

/// The bias changes that make up for a channel, or `None` when it must stay.
fn may_go(
    graph: &Graph,
    analysis: &Analysis,
    roles: &[&Role],
    read: &[(usize, usize)],
    levels: &HashMap<String, Levels>,
    consumers: &HashMap<usize, Option<FoldingConsumer>>,
) -> Option<Vec<Fold>> {
    let mut folds: Vec<Fold> = Vec::new();
    for &(k, index) in read {
        let role = roles[k];
        let node = &graph.proto.node[role.node];
        if is_depthwise(graph, node) {
            continue;
        }
        let level = (role.axis == 1)
            .then(|| levels.get(&analysis.dependencies.value(role.value).name))
            .flatten()
            .and_then(|l| l.get(index).copied().flatten());
        if level == Some(0.0) {
            continue;
        }
        let consumer = consumers.get(&role.node)?.as_ref()?;
        let (sums, unread) = consumer.column(index);
        if unread {
            continue;
        }
        let level = level.filter(|v| v.is_finite() && consumer.foldable)?;
        let bias: Vec<f32> = sums.iter().map(|s| s * level).collect();
        match folds.iter_mut().find(|f| f.node == role.node) {
            Some(fold) => fold.bias.iter_mut().zip(&bias).for_each(|(a, b)| *a += b),
            None => folds.push(Fold { node: role.node, bias }),
        }
    }
    Some(folds)
}

fn is_depthwise(graph: &Graph, node: &NodeProto) -> bool {
    let dims = node.input.get(1).and_then(|n| float_constant_dims(graph, n));
    dims.is_some_and(|dims| LinearSpec::is_depthwise(node, &dims))
}

/// A layer whose columns can be read: convolutions and products by constant weights.
fn consumer(graph: &Graph, analysis: &Analysis, role: &Role) -> Option<FoldingConsumer> {
    let node = &graph.proto.node[role.node];
    input_value(&analysis.dependencies, node, role.node, 0).filter(|&x| x == role.value)?;
    let layer = LinearOp::by_weights(graph, role.node)?;
    let padded = match &layer.form {
        // Places of a transposed convolution's output differ in the taps that reach them.
        Form::Conv(spec) => spec.is_padded() || spec.direction == Direction::Transposed,
        Form::Gemm { .. } | Form::MatMul => false,
    };
    // Folds are sums of floats.
    let stored = node.input.get(1).is_some_and(|n| graph.stored(n).is_some());
    let foldable = layer.takes_bias && stored && !padded;
    let weights = layer.weights(graph)?;
    Some(FoldingConsumer {
        layer,
        weights,
        foldable,
    })
}
