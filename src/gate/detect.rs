//! Finding places for gates: additions with a branch of convolutions that nothing else reads, and plain chains.

use std::collections::HashSet;

use super::block::{Block, BranchStep};
use super::chain::chains;
use super::excite::Excite;
use super::layer::BranchLayer;
use super::pattern::{Reason, fixed_batch, is_unary, rows_and_columns, self_gated};
use crate::channels::{Analysis, never_negative};
use crate::onnx::{Graph, label};

/// The residual blocks of a graph and the plain chains outside of them, in the order of their ends; and of what looks like
/// one the reason why it is none.
pub fn blocks(graph: &Graph, analysis: &Analysis) -> (Vec<Block>, Vec<(String, Reason)>) {
    let (mut found, mut refused): (Vec<Block>, Vec<(String, Reason)>) = (Vec::new(), Vec::new());
    let mut taken: HashSet<usize> = HashSet::new();
    for index in 0..graph.proto.node.len() {
        match block(graph, analysis, index) {
            None => {}
            Some(Err(why)) => refused.push((label(&graph.proto.node[index], index), why)),
            Some(Ok(block)) if block.nodes().is_disjoint(&taken) => {
                taken.extend(block.nodes());
                found.push(block);
            }
            Some(Ok(_)) => {}
        }
    }
    for chain in chains(graph, analysis, &taken) {
        match chain {
            Ok(block) => found.push(block),
            Err((name, why)) => refused.push((name, why)),
        }
    }
    found.sort_by_key(Block::last);
    (found, refused)
}

/// One side of an addition as a branch.
struct Branch<'g> {
    /// Front to back.
    steps: Vec<BranchStep>,
    /// The value that the first step reads.
    input: &'g str,
    /// The other addend.
    other: &'g str,
}

impl Branch<'_> {
    /// The number of weights of its convolutions.
    fn weights(&self) -> u64 {
        let layers = self.steps.iter().filter_map(BranchStep::layer);
        layers.map(|layer| layer.macs([1, 1])).sum()
    }
}

/// The block that ends in the node `add`: `None` where that is no addition with a branch of convolutions.
fn block(graph: &Graph, analysis: &Analysis, add: usize) -> Option<Result<Block, Reason>> {
    let node = &graph.proto.node[add];
    if node.op_type() != "Add" || !matches!(node.domain(), "" | "ai.onnx") {
        return None;
    }
    let [a, b] = &node.input[..] else { return None };
    if graph.constant(a).is_some() || graph.constant(b).is_some() {
        return None;
    }
    let mut branches: Vec<Branch> = Vec::new();
    for (from, other) in [(a, b), (b, a)] {
        let (steps, input) = walk_back(graph, from);
        if steps.iter().any(|s| s.layer().is_some()) {
            branches.push(Branch { steps, input, other });
        }
    }
    let branch = branches.into_iter().max_by_key(Branch::weights)?;
    Some(described(graph, analysis, add, branch))
}

fn described(
    graph: &Graph,
    analysis: &Analysis,
    add: usize,
    Branch { steps, input, other }: Branch,
) -> Result<Block, Reason> {
    let nodes = &graph.proto.node;
    let branch = nodes[add]
        .input
        .iter()
        .find(|n| n.as_str() != other)
        .cloned()
        .unwrap_or_default();
    let sum = nodes[add].output.first().cloned().unwrap_or_default();
    let dependencies = &analysis.dependencies;
    let spatial = |name: &str| rows_and_columns(analysis, name);
    let (from, to) = (spatial(input)?, spatial(&sum)?);
    if spatial(other)? != to {
        return Err("its addends have different shapes".to_owned());
    }
    let layers: Vec<&BranchLayer> = steps.iter().filter_map(BranchStep::layer).collect();
    let (Some(first), Some(last)) = (layers.first(), layers.last()) else {
        return Err("it has no convolution".to_owned());
    };
    let channels = |name: &str| {
        dependencies
            .by_name(name)
            .and_then(|id| dependencies.dims(id).get(1).copied())
    };
    if channels(other) != channels(&branch) {
        return Err("one addend is spread over the channels of the other".to_owned());
    }
    let consumers = graph.consumers.get(sum.as_str()).map_or(&[][..], Vec::as_slice);
    let is_output = |name: &str| graph.proto.output.iter().any(|o| o.name() == name);
    let activation = match consumers {
        [one] if !is_output(&sum) && is_unary(&nodes[*one], graph) => Some(*one),
        _ => None,
    };
    let output = activation.and_then(|n| nodes[n].output.first().cloned()).unwrap_or(sum);
    let block = Block {
        name: label(&nodes[add], add),
        input_dims: [first.inputs, from[0], from[1]],
        output_dims: [last.outputs, to[0], to[1]],
        positive: never_negative(graph, input),
        input: input.to_owned(),
        other: Some(other.to_owned()),
        steps,
        branch,
        end: add,
        activation,
        output,
        batch: fixed_batch(analysis, input),
    };
    if block.shape().last() != Some(&to) {
        return Err("its convolutions do not make its shape".to_owned());
    }
    Ok(block)
}

/// From a value back over nodes that nothing else reads, to the value before them.
fn walk_back<'g>(graph: &Graph<'g>, from: &'g str) -> (Vec<BranchStep>, &'g str) {
    let nodes = &graph.proto.node;
    let alone = |name: &str, consumers: usize| {
        let list = graph.consumers.get(name).map_or(0, Vec::len);
        list == consumers && !graph.proto.output.iter().any(|o| o.name() == name)
    };
    let mut steps = Vec::new();
    let (mut at, mut consumers) = (from, 1);
    while let Some(&index) = graph.producer.get(at).filter(|_| alone(at, consumers)) {
        let node = &nodes[index];
        consumers = 1;
        if let Some(layer) = BranchLayer::of(graph, index) {
            steps.push(BranchStep::Conv(layer));
            at = &node.input[0];
        } else if is_unary(node, graph) {
            steps.push(BranchStep::Pointwise(vec![index]));
            at = &node.input[0];
        } else if let Some((before, factor)) = self_gated(graph, index).filter(|(before, _)| alone(before, 2)) {
            steps.push(BranchStep::Pointwise(factor.into_iter().chain([index]).collect()));
            (at, consumers) = (before, 2);
        } else if let Some((before, module)) = Excite::of(graph, index).filter(|(before, _)| alone(before, 2))
            && steps.iter().any(|s: &BranchStep| s.layer().is_some())
        {
            steps.push(BranchStep::Excite(Box::new(module)));
            (at, consumers) = (before, 2);
        } else {
            break;
        }
    }
    // What is before the first convolution may stay dense: only what the convolutions save counts.
    while let Some(last) = steps.last().and_then(BranchStep::last_of_others) {
        at = nodes[last].output.first().map_or(at, String::as_str);
        steps.pop();
    }
    steps.reverse();
    (steps, at)
}
