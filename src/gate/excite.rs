//! Squeeze-and-excite modules inside of branches: each channel of a map times a number that is made of the means of all of them.

use super::layer::BranchLayer;
use super::pattern::{is_alone, is_unary, self_gated};
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph};

/// A squeeze-and-excite module: `x · act(expand(act(squeeze(means of x))))`.
#[derive(Clone, Debug, PartialEq)]
pub struct Excite {
    /// The node that takes the means over rows and columns.
    pub pool: usize,
    /// The convolution that reads the means.
    pub squeeze: BranchLayer,
    /// Nodes between it and the next, front to back.
    pub(super) between: Vec<usize>,
    /// The convolution that makes a number for each channel.
    pub(super) expand: BranchLayer,
    /// Nodes behind it, front to back.
    pub(super) behind: Vec<usize>,
    /// The product.
    pub product: usize,
}

impl Excite {
    /// The module that ends in a product, and the map that it reads. Nothing else reads what is made on the way.
    pub(super) fn of<'g>(graph: &Graph<'g>, product: usize) -> Option<(&'g str, Self)> {
        let node = graph.proto.node.get(product)?;
        let [a, b] = &node.input[..] else { return None };
        if node.op_type() != "Mul" {
            return None;
        }
        [(a, b), (b, a)].into_iter().find_map(|(x, numbers)| {
            let (behind, at) = pointwise_back(graph, numbers)?;
            let (expand, at) = dense(graph, at)?;
            let (between, at) = pointwise_back(graph, at)?;
            let (squeeze, at) = dense(graph, at)?;
            let pool = *graph.producer.get(at).filter(|_| is_alone(graph, at))?;
            let pooled = graph.proto.node.get(pool)?;
            let whole = takes_means(graph, pooled) && pooled.input.first() == Some(x);
            let fits = squeeze.inputs == expand.outputs && squeeze.outputs == expand.inputs;
            let module = Self {
                pool,
                squeeze,
                between,
                expand,
                behind,
                product,
            };
            (whole && fits).then_some((x.as_str(), module))
        })
    }

    /// Every node of it.
    pub fn nodes(&self) -> Vec<usize> {
        let ends = [self.pool, self.squeeze.node, self.expand.node, self.product];
        let pointwise = self.between.iter().chain(&self.behind).copied();
        ends.into_iter().chain(pointwise).collect()
    }
}

/// A convolution of single places, in one group, that makes a value; and what it reads.
fn dense<'g>(graph: &Graph<'g>, value: &'g str) -> Option<(BranchLayer, &'g str)> {
    let node = *graph.producer.get(value)?;
    let layer = BranchLayer::of(graph, node)?;
    let plain = layer.taps() == 1 && layer.spec.groups == 1 && !layer.spec.is_padded();
    let input = graph.proto.node.get(node)?.input.first()?;
    plain.then_some((layer, input))
}

/// From a value back over nodes that make one of each element: these, front to back, and the value before them. `None` where anything else reads one of
/// the values.
fn pointwise_back<'g>(graph: &Graph<'g>, value: &'g str) -> Option<(Vec<usize>, &'g str)> {
    let (mut nodes, mut at, mut readers) = (Vec::new(), value, 1);
    loop {
        let alone = graph.consumers.get(at).is_some_and(|c| c.len() == readers) && !graph.is_seen_outside(at);
        let index = *graph.producer.get(at).filter(|_| alone)?;
        let node = &graph.proto.node[index];
        if is_unary(node, graph) {
            nodes.push(index);
            (at, readers) = (node.input.first()?, 1);
        } else if let Some((before, factor)) = self_gated(graph, index) {
            nodes.push(index);
            nodes.extend(factor.into_iter().rev());
            (at, readers) = (before, 2);
        } else {
            nodes.reverse();
            return Some((nodes, at));
        }
    }
}

/// Whether a node takes the means over rows and columns, and keeps both axes.
fn takes_means(graph: &Graph, node: &NodeProto) -> bool {
    match node.op_type() {
        "GlobalAveragePool" => true,
        "ReduceMean" => {
            let given = node
                .input
                .get(1)
                .and_then(|n| graph.constant(n))
                .and_then(|t| t.to_i64());
            let mut axes = node.ints("axes").or(given).unwrap_or_default();
            axes.iter_mut().for_each(|axis| *axis += if *axis < 0 { 4 } else { 0 });
            axes.sort_unstable();
            axes == [2, 3] && node.int("keepdims", 1) == 1
        }
        _ => false,
    }
}
