//! Finding plain chains: convolutions one behind the other, with pointwise operators between, that nothing else reads.

use std::collections::HashSet;

use super::block::{Block, BranchStep};
use super::excite::Excite;
use super::layer::BranchLayer;
use super::pattern::{Reason, fixed_batch, is_unary, rows_and_columns, self_gated};
use crate::channels::{Analysis, never_negative};
use crate::onnx::{Graph, label};

/// Convolutions of one chain that are not depthwise, at most: the halo of tiles grows with each.
const MOST: usize = 3;

/// The chains of at least two convolutions outside of the nodes `taken`; of those that cannot be gated the name and the reason.
pub(super) fn chains(
    graph: &Graph,
    analysis: &Analysis,
    taken: &HashSet<usize>,
) -> Vec<Result<Block, (String, Reason)>> {
    let mut taken = taken.clone();
    let mut found = Vec::new();
    for index in 0..graph.proto.node.len() {
        let Some(steps) = steps_from(graph, index, &taken) else {
            continue;
        };
        taken.extend(steps.iter().flat_map(nodes_of));
        if steps.iter().filter_map(BranchStep::layer).count() < 2 {
            continue;
        }
        found.push(described(graph, analysis, steps));
    }
    found
}

fn nodes_of(step: &BranchStep) -> Vec<usize> {
    match step {
        BranchStep::Conv(layer) => vec![layer.node],
        BranchStep::Pointwise(list) => list.clone(),
        BranchStep::Excite(module) => module.nodes(),
    }
}

/// The chain that begins with a convolution. It ends behind a convolution that another reads as it is, as the projection of
/// an inverted bottleneck does.
fn steps_from(graph: &Graph, first: usize, taken: &HashSet<usize>) -> Option<Vec<BranchStep>> {
    let free = |n: &usize| !taken.contains(n);
    let layer = BranchLayer::of(graph, first).filter(|_| free(&first))?;
    let mut mixing = usize::from(!layer.is_depthwise());
    let mut at = graph.proto.node[first].output.first()?.as_str();
    let mut steps = vec![BranchStep::Conv(layer)];
    while let Some((step, output)) = behind(graph, at).filter(|(step, _)| nodes_of(step).iter().all(free)) {
        let BranchStep::Conv(layer) = step else {
            steps.push(step);
            at = output;
            continue;
        };
        let straight = matches!(steps.last(), Some(BranchStep::Conv(before)) if !before.is_depthwise());
        mixing += usize::from(!layer.is_depthwise());
        if straight || mixing > MOST {
            break;
        }
        steps.push(BranchStep::Conv(layer));
        at = output;
    }
    // A module whose channels no convolution of the chain reads stays outside.
    let last = steps.iter().rposition(|s| s.layer().is_some()).unwrap_or(0);
    if let Some(at) = steps.iter().skip(last).position(|s| matches!(s, BranchStep::Excite(_))) {
        steps.truncate(last + at);
    }
    Some(steps)
}

/// What alone reads a value: nodes that make one of each of its elements, a convolution, or a squeeze-and-excite module; and what it makes.
fn behind<'g>(graph: &Graph<'g>, value: &str) -> Option<(BranchStep, &'g str)> {
    if graph.is_seen_outside(value) {
        return None;
    }
    let nodes = &graph.proto.node;
    let made = |n: usize| nodes[n].output.first().map(String::as_str);
    match graph.consumers.get(value)?[..] {
        [one] if nodes[one].input.first().is_some_and(|x| x == value) => {
            let step = match BranchLayer::of(graph, one) {
                Some(layer) => BranchStep::Conv(layer),
                None if is_unary(&nodes[one], graph) => BranchStep::Pointwise(vec![one]),
                None => return None,
            };
            Some((step, made(one)?))
        }
        [a, b] => [(a, b), (b, a)].into_iter().find_map(|(product, first)| {
            if let Some((before, factor)) = self_gated(graph, product) {
                let whole = before == value && factor.first() == Some(&first);
                let nodes = factor.into_iter().chain([product]).collect();
                return whole.then_some((BranchStep::Pointwise(nodes), made(product)?));
            }
            let (before, module) = Excite::of(graph, product)?;
            let whole = before == value && module.pool == first;
            whole.then_some((BranchStep::Excite(Box::new(module)), made(product)?))
        }),
        _ => None,
    }
}

fn described(graph: &Graph, analysis: &Analysis, steps: Vec<BranchStep>) -> Result<Block, (String, Reason)> {
    let nodes = &graph.proto.node;
    let layers: Vec<&BranchLayer> = steps.iter().filter_map(BranchStep::layer).collect();
    let (Some(first), Some(last)) = (layers.first(), layers.last()) else {
        return Err((String::new(), "it has no convolution".to_owned()));
    };
    let name = label(&nodes[last.node], last.node);
    let input = nodes[first.node].input.first().cloned().unwrap_or_default();
    let end = steps
        .last()
        .and_then(|s| nodes_of(s).last().copied())
        .unwrap_or(last.node);
    let output = nodes[end].output.first().cloned().unwrap_or_default();
    let refuse = |why| (name.clone(), why);
    let from = rows_and_columns(analysis, &input).map_err(refuse)?;
    let to = rows_and_columns(analysis, &output).map_err(refuse)?;
    let block = Block {
        input_dims: [first.inputs, from[0], from[1]],
        output_dims: [last.outputs, to[0], to[1]],
        positive: never_negative(graph, &input),
        batch: fixed_batch(analysis, &input),
        input,
        branch: output.clone(),
        other: None,
        end,
        activation: None,
        output,
        name: name.clone(),
        steps,
    };
    if block.shape().last() != Some(&to) {
        return Err(refuse("its convolutions do not make its shape".to_owned()));
    }
    Ok(block)
}
