//! What the layers of a whole model took in it, and what the rest took.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::extract::Layer;
use crate::device::{NodeClock, NodeTime};
use crate::onnx::Graph;
use crate::ops::LinearSpec;

use super::samples::median;
use super::waves::{Multiprocessors, waves};

/// One model's time, by parts, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InModel {
    /// Each layer's node with the layout changes right before it; `None` where it was not recognized.
    pub layers: Vec<Option<f64>>,
    /// All other nodes.
    #[serde(rename = "others")]
    pub overhead: f64,
    /// Those of them that are nodes of the file, each with its time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeMs>,
    /// Of the time of the others that are no nodes of the file: what is the same for fewer or more channels, as in [`NodeMs::fixed`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fixed: f64,
    /// Whose time it is.
    #[serde(default)]
    pub clock: NodeClock,
}

/// The time of a node of the file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeMs {
    /// Its index.
    pub node: usize,
    /// Milliseconds.
    pub ms: f64,
    /// Those of kernels whose blocks a GPU holds all at once: with fewer or more channels they have other blocks, and take as long.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fixed: f64,
}

fn is_zero(ms: &f64) -> bool {
    *ms == 0.0
}

impl NodeMs {
    /// The same at another share of the workload.
    #[must_use]
    pub fn weighted(self, weight: f64) -> Self {
        Self {
            ms: weight * self.ms,
            fixed: weight * self.fixed,
            ..self
        }
    }
}

/// The milliseconds of a node's kernels that a GPU holds all at once.
fn fixed(node: &NodeTime, ms: f64, gpu: Option<&Multiprocessors>) -> f64 {
    let Some(gpu) = gpu else { return 0.0 };
    let all: u64 = node.kernels.iter().map(|k| k.ns).sum();
    let at_once = node.kernels.iter().filter(|k| k.has_grid() && waves(k, gpu).waves == 1);
    let fixed: u64 = at_once.map(|k| k.ns).sum();
    ms * fixed as f64 / all.max(1) as f64
}

impl InModel {
    /// All nodes together.
    pub fn total(&self) -> f64 {
        self.layers.iter().flatten().sum::<f64>() + self.overhead
    }
}

/// Sorts a profile of a whole model into its layers and the rest.
///
/// `gpu`: what its kernels ran on. ONNX Runtime names a node in the blocked layout after its last fused output, with `_nchwc` behind;
/// any other keeps the name of the convolution.
pub fn in_model(graph: &Graph, layers: &[Layer], nodes: &[NodeTime], gpu: Option<&Multiprocessors>) -> InModel {
    let mut ran: HashMap<&str, usize> = HashMap::new();
    for (i, node) in nodes.iter().enumerate() {
        ran.insert(&node.name, i);
        ran.entry(without_token(&node.name)).or_insert(i);
    }
    let mut taken: HashSet<usize> = HashSet::new();
    let mut found = vec![None; layers.len()];
    for (slot, layer) in found.iter_mut().zip(layers) {
        let at = names(graph, layer.node)
            .iter()
            .find_map(|n| ran.get(n.as_str()).copied());
        let Some(at) = at.filter(|&at| taken.insert(at)) else {
            continue;
        };
        let mut first = at;
        while first > 0 && nodes[first - 1].op.starts_with("Reorder") && taken.insert(first - 1) {
            first -= 1;
        }
        *slot = Some(nodes[first..=at].iter().map(|n| median(&n.samples)).sum());
    }
    let others = nodes.iter().enumerate().filter(|(i, _)| !taken.contains(i));
    let by_name: HashMap<&str, usize> = (graph.proto.node.iter().enumerate())
        .map(|(index, node)| (node.name(), index))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let (mut overhead, mut own, mut rest) = (0.0, Vec::new(), 0.0);
    for (_, ran) in others {
        let ms = median(&ran.samples);
        let fixed = fixed(ran, ms, gpu);
        overhead += ms;
        let name = ran.name.as_str();
        match by_name.get(name).or_else(|| by_name.get(without_token(name))) {
            Some(&node) => own.push(NodeMs { node, ms, fixed }),
            None => rest += fixed,
        }
    }
    InModel {
        layers: found,
        overhead,
        nodes: own,
        fixed: rest,
        clock: NodeClock::Host,
    }
}

/// A node's name without what ONNX Runtime adds to it when it moves the node to another layout of channels.
pub(super) fn without_token(name: &str) -> &str {
    match name.rsplit_once("_token_") {
        Some((own, number)) if number.bytes().all(|b| b.is_ascii_digit()) => own,
        _ => name,
    }
}

/// What a layer's node may be called: the convolution, then what may be fused to it, in order.
pub(super) fn names(graph: &Graph, node: usize) -> Vec<String> {
    let mut node = &graph.proto.node[node];
    let mut names = vec![node.name().to_owned()];
    for _ in 0..4 {
        names.extend(node.output.first().map(|o| format!("{o}_nchwc")));
        match graph.only_user(node) {
            Some(next) if !LinearSpec::slides(next) => node = next,
            _ => break,
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::extract::layers;
    use super::{Multiprocessors, fixed, in_model};
    use crate::Result;
    use crate::channels::{Shapes, analyze};
    use crate::device::{Kernel, NodeTime};
    use crate::onnx::proto::{GraphProto, NodeProto, ValueInfoProto};
    use crate::onnx::{Graph, Tensor};

    fn node(op: &str, name: &str, input: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: Some(op.to_owned()),
            name: Some(name.to_owned()),
            input: input.iter().map(|s| (*s).to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Default::default()
        }
    }

    fn ran(name: &str, op: &str, ms: f64) -> NodeTime {
        NodeTime {
            name: name.to_owned(),
            op: op.to_owned(),
            samples: vec![ms],
            ..NodeTime::default()
        }
    }

    #[test]
    fn blocked_and_plain_nodes_are_recognized_with_their_layout_changes() -> Result<()> {
        let value = |name: &str| ValueInfoProto {
            name: Some(name.to_owned()),
            ..Default::default()
        };
        let graph = GraphProto {
            node: vec![
                node("Conv", "first", &["x", "w"], "a"),
                node("Relu", "relu", &["a"], "b"),
                node("Conv", "second", &["b", "w"], "c"),
                node("GlobalAveragePool", "pool", &["c"], "y"),
            ],
            initializer: vec![Tensor::from_f32(vec![2, 2, 1, 1], &[1.0; 4]).to_proto("w")],
            input: vec![value("x")],
            output: vec![value("y")],
            ..Default::default()
        };
        let graph = Graph::new(&graph)?;
        let mut shapes = Shapes::default();
        for name in ["x", "a", "b", "c"] {
            shapes.dims.insert(name.to_owned(), vec![1, 2, 4, 4]);
        }
        shapes.dims.insert("y".to_owned(), vec![1, 2, 1, 1]);
        let analysis = analyze(&graph, 13, &shapes)?;
        let found = layers(&graph, &analysis);
        let times = [
            ran("ReorderInput", "ReorderInput", 0.5),
            ran("b_nchwc", "Conv", 2.0),
            ran("ReorderOutput", "ReorderOutput", 0.25),
            ran("second_token_12", "FusedConv", 4.0),
            ran("pool", "GlobalAveragePool", 1.0),
        ];
        let seen = in_model(&graph, &found, &times, None);
        assert_eq!(seen.layers, [Some(2.5), Some(4.25)]);
        assert_eq!((seen.overhead, seen.total()), (1.0, 7.75));
        Ok(())
    }

    #[test]
    fn kernels_that_a_gpu_holds_all_at_once_are_fixed() {
        let gpu = Multiprocessors {
            count: 100,
            threads: 2048,
            blocks: 32,
            registers: 65536,
            shared: 233_472,
        };
        let kernel = |blocks, ns| Kernel {
            name: "k".to_owned(),
            grid: [blocks, 1, 1],
            block: [256, 1, 1],
            registers: 32,
            shared_bytes: 0,
            ns,
        };
        let of = |kernels| {
            let node = NodeTime {
                kernels,
                ..ran("pool", "ReduceMean", 4.0)
            };
            fixed(&node, 4.0, Some(&gpu))
        };
        // A multiprocessor holds eight such blocks.
        assert_eq!(of(vec![kernel(800, 10)]), 4.0);
        assert_eq!(of(vec![kernel(801, 10)]), 0.0);
        assert_eq!(of(vec![kernel(1, 10), kernel(9999, 30), kernel(0, 0)]), 1.0);
        assert_eq!((of(vec![]), fixed(&ran("x", "Relu", 1.0), 1.0, None)), (0.0, 0.0));
    }
}
