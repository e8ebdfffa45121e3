//! Channels that may go without any change of the outputs: those that nobody reads, and those that
//! hold one known number, which then goes into the bias of who reads them.

use std::collections::{BTreeMap, HashMap};

use super::constants::{Levels, constant_levels};
use crate::channels::{Analysis, Group, Role, input_value};
use crate::onnx::{Attributes, Graph, Tensor};

/// What must be added to a reader's bias when a constant channel goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    /// Index of the reader.
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

/// The weights of a layer that mixes its input channels: rows are output channels, each with
/// `taps` weights an input channel.
struct FoldingConsumer {
    weights: Vec<f32>,
    outputs: usize,
    inputs: usize,
    taps: usize,
    /// Input-major storage (transposed convolutions, `Gemm` and `MatMul` without transposition).
    input_major: bool,
    /// Groups that outputs and inputs are split into; `inputs` counts those of one group.
    groups: usize,
    /// Whether a constant input becomes a constant in the output: no padding around it.
    foldable: bool,
}

impl FoldingConsumer {
    /// The sum over taps of each output channel's weights on one input; whether all are zero.
    fn column(&self, input: usize) -> (Vec<f32>, bool) {
        let mut zero = true;
        let (group, input) = (input / self.inputs, input % self.inputs);
        let sums = (0..self.outputs)
            .map(|o| {
                if o / (self.outputs / self.groups) != group {
                    return 0.0;
                }
                let at = if self.input_major {
                    input * self.outputs + o
                } else {
                    o * self.inputs + input
                };
                let taps = &self.weights[at * self.taps..(at + 1) * self.taps];
                zero &= taps.iter().all(|&w| w == 0.0);
                taps.iter().sum()
            })
            .collect();
        (sums, zero)
    }
}

/// Finds the channels of free groups that may go.
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

/// Where each class of a group stands on each role's axis: (role, index).
fn positions(analysis: &Analysis, group: &Group, roles: &[&Role]) -> HashMap<u32, Vec<(usize, usize)>> {
    let mut places: HashMap<u32, Vec<(usize, usize)>> = group.classes.iter().map(|&c| (c, vec![])).collect();
    let co = &analysis.dependencies;
    for (k, role) in roles.iter().enumerate() {
        for i in 0..co.dims(role.value)[role.axis] {
            let class = co.class(co.atom(role.value, role.axis, i));
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

fn is_depthwise(graph: &Graph, node: &crate::onnx::proto::NodeProto) -> bool {
    let weights = node.input.get(1).and_then(|n| graph.stored(n));
    matches!(node.op_type(), "Conv" | "ConvTranspose")
        && node.int("group", 1) > 1
        && weights.is_some_and(|w| w.dims.get(if node.op_type() == "Conv" { 1 } else { 0 }) == Some(&1))
}

/// A layer whose columns can be read: plain convolutions and products by constant weights.
fn consumer(graph: &Graph, analysis: &Analysis, role: &Role) -> Option<FoldingConsumer> {
    let node = &graph.proto.node[role.node];
    let weights: Tensor = graph.stored(node.input.get(1)?)?;
    input_value(&analysis.dependencies, node, role.node, 0).filter(|&x| x == role.value)?;
    let dims = weights.dims.clone();
    let values = weights.to_f32()?;
    let taps = |from: usize| dims[from..].iter().product::<usize>();
    let one = |name: &str| node.float(name, 1.0) == 1.0;
    match (node.op_type(), node.int("group", 1), dims.len()) {
        ("Conv", groups @ 1.., 3..) if dims[0].is_multiple_of(groups as usize) && dims[0] > 0 => {
            let padded = node.ints("pads").is_some_and(|p| p.iter().any(|&v| v != 0));
            let auto = node.text("auto_pad", "NOTSET").starts_with("SAME");
            Some(FoldingConsumer {
                weights: values,
                outputs: dims[0],
                inputs: dims[1],
                taps: taps(2),
                input_major: false,
                groups: groups as usize,
                foldable: !padded && !auto,
            })
        }
        ("Gemm", _, 2) => {
            let transposed = node.int("transB", 0) != 0;
            let (inputs, outputs) = if transposed {
                (dims[1], dims[0])
            } else {
                (dims[0], dims[1])
            };
            let bias = node.input.get(2).map(|n| graph.stored(n).map(|b| b.dims == [outputs]));
            Some(FoldingConsumer {
                weights: values,
                outputs,
                inputs,
                taps: 1,
                input_major: !transposed,
                groups: 1,
                foldable: one("alpha") && one("beta") && matches!(bias, None | Some(Some(true))),
            })
        }
        ("MatMul", _, 2) => Some(FoldingConsumer {
            weights: values,
            outputs: dims[1],
            inputs: dims[0],
            taps: 1,
            input_major: true,
            groups: 1,
            foldable: false,
        }),
        _ => None,
    }
}
