//! What each node that ran computes and moves, as far as it stands for nodes of the file.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::in_model::{names, without_token};
use crate::channels::{Analysis, input_value, spec_of};
use crate::device::NodeTime;
use crate::onnx::{Graph, label};
use crate::ops::{LinearSpec, Movement};

/// The type that products are computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point.
    F16,
    /// Any other.
    Other,
}

/// What one run of a node computes and moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NodeWork {
    /// Floating-point operations: two for a multiply-accumulate of a linear operator, one for an element of any other.
    pub flops: f64,
    /// Bytes of its inputs, weights among them, and of its outputs; 0 for another view of the same elements.
    pub bytes: f64,
    /// The type that it computes in; for other than linear operators one of those with a limit.
    pub element: ElementType,
}

/// What a node that ran is in the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct FileNode {
    /// Its name in the file: of what is fused to a linear operator, the operator's. `None` where it is not in the file.
    pub name: Option<String>,
    /// Its work; `None` where it is not in the file or its shapes are not known.
    pub work: Option<NodeWork>,
}

/// What each of `ran` is in the file.
pub(super) fn file_nodes(graph: &Graph, analysis: &Analysis, ran: &[NodeTime]) -> Vec<FileNode> {
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    for (i, node) in ran.iter().enumerate() {
        by_name.entry(unfused(&node.name)).or_insert(i);
    }
    let is_linear = |&n: &usize| LinearSpec::of(&graph.proto.node[n]).is_some();
    // Linear operators first: what is fused to them may be called after the last output.
    let (linear, rest): (Vec<usize>, Vec<usize>) = (0..graph.proto.node.len()).partition(is_linear);
    let mut head: HashMap<usize, usize> = HashMap::new();
    let mut taken: HashSet<usize> = HashSet::new();
    for index in linear.into_iter().chain(rest) {
        let known = called(graph, index).into_iter().find_map(|n| by_name.get(n.as_str()));
        if let Some(&at) = known.filter(|at| taken.insert(**at)) {
            head.insert(index, at);
        }
    }
    let mut found = vec![FileNode::default(); ran.len()];
    let mut seen: HashSet<usize> = head.keys().copied().collect();
    let mut heads: Vec<(usize, usize)> = head.into_iter().collect();
    // A sum of two layers is a part of the later one, which is when both addends are there.
    heads.sort_unstable_by(|a, b| b.cmp(a));
    for (index, at) in heads {
        let parts = fused(graph, index, &seen);
        seen.extend(&parts);
        found[at] = FileNode {
            name: Some(label(&graph.proto.node[index], index)),
            work: work_of(graph, analysis, &parts),
        };
    }
    found
}

/// A product's name without what ONNX Runtime adds to it when it takes in an addition, an activation or both.
fn unfused(name: &str) -> &str {
    let name = without_token(name.strip_prefix("fused ").unwrap_or(name));
    name.strip_suffix("/MatMulAddFusion").unwrap_or(name)
}

/// What a node may be called where it runs: its name, that of the layer that takes what follows into itself, or without a name
/// its operator and place.
fn called(graph: &Graph, index: usize) -> Vec<String> {
    let node = &graph.proto.node[index];
    let own = match node.name() {
        "" => format!("{}_{index}", node.op_type()),
        name => name.to_owned(),
    };
    let mut all = vec![own];
    match LinearSpec::slides(node) {
        true => all.extend(names(graph, index)),
        false => all.extend(node.output.first().map(|o| format!("{o}_nchwc"))),
    }
    all.retain(|name| !name.is_empty());
    all
}

/// A linear operator and those behind it that ran as a part of it: each the only user of the one before and not `seen` elsewhere.
fn fused(graph: &Graph, index: usize, seen: &HashSet<usize>) -> Vec<usize> {
    let mut parts = vec![index];
    let mut last = &graph.proto.node[index];
    if LinearSpec::of(last).is_none() {
        return parts;
    }
    for _ in 0..4 {
        let next = graph
            .only_user(last)
            .and_then(|next| graph.producer.get(next.output.first()?.as_str()).copied());
        let Some(next) = next.filter(|n| !seen.contains(n) && LinearSpec::of(&graph.proto.node[*n]).is_none()) else {
            break;
        };
        parts.push(next);
        last = &graph.proto.node[next];
    }
    parts
}

/// The work of nodes that run as one; the first is the one that counts for operations.
fn work_of(graph: &Graph, analysis: &Analysis, parts: &[usize]) -> Option<NodeWork> {
    let co = &analysis.dependencies;
    let first = &graph.proto.node[*parts.first()?];
    let last = &graph.proto.node[*parts.last()?];
    let inner: HashSet<&str> = parts
        .iter()
        .flat_map(|&n| graph.proto.node[n].output.iter().map(String::as_str))
        .collect();
    let (mut bytes, mut elements) = (0.0, 0.0_f64);
    for &part in parts {
        let node = &graph.proto.node[part];
        for (input, name) in node.input.iter().enumerate() {
            if name.is_empty() || inner.contains(name.as_str()) {
                continue;
            }
            if let Some(constant) = graph.constant(name) {
                bytes += constant.bytes.len() as f64;
                continue;
            }
            let count = count(co.value(input_value(co, node, part, input)?).dims.as_ref()?);
            bytes += count * analysis.bytes_of(name) as f64;
            if part == parts[0] && input == 0 {
                elements = count;
            }
        }
    }
    for name in last.output.iter().filter(|o| !o.is_empty()) {
        let count = count(co.value(co.by_name(name)?).dims.as_ref()?);
        bytes += count * analysis.bytes_of(name) as f64;
        elements = elements.max(count);
    }
    let half = last.output.first().is_some_and(|o| analysis.bytes_of(o) == 2);
    let plain = if half { ElementType::F16 } else { ElementType::F32 };
    match LinearSpec::of(first) {
        Some(spec) => {
            let macs = (analysis.macs[parts[0]] as f64) * analysis.samples as f64;
            let width = first.output.first().map_or(4, |o| analysis.bytes_of(o));
            let element = match (spec.quantized, width) {
                (None, 4) => ElementType::F32,
                (None, 2) => ElementType::F16,
                _ => ElementType::Other,
            };
            (macs > 0.0).then_some(NodeWork {
                flops: 2.0 * macs,
                bytes,
                element,
            })
        }
        None if Movement::of(first) == Some(Movement::View) => Some(NodeWork {
            flops: 0.0,
            bytes: 0.0,
            element: plain,
        }),
        // What an operator without rules computes, or one with a body, is not known.
        None => spec_of(first).map(|_| NodeWork {
            flops: elements,
            bytes,
            element: plain,
        }),
    }
}

fn count(dims: &[usize]) -> f64 {
    dims.iter().map(|&d| d as f64).product()
}

#[cfg(test)]
mod tests {
    use super::{ElementType, FileNode, file_nodes};
    use crate::Result;
    use crate::channels::{Shapes, analyze};
    use crate::device::NodeTime;
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

    /// The nodes of x → convolution → ReLU → convolution → + ReLU's → view, called as they ran.
    fn seen(ran: &[&str]) -> Result<Vec<FileNode>> {
        let value = |name: &str| ValueInfoProto {
            name: Some(name.to_owned()),
            ..Default::default()
        };
        let graph = GraphProto {
            node: vec![
                node("Conv", "first", &["x", "w"], "a"),
                node("Relu", "relu", &["a"], "b"),
                node("Conv", "second", &["b", "w"], "c"),
                node("Add", "sum", &["c", "b"], "d"),
                node("Flatten", "", &["d"], "y"),
            ],
            initializer: vec![Tensor::from_f32(vec![2, 2, 1, 1], &[1.0; 4]).to_proto("w")],
            input: vec![value("x")],
            output: vec![value("y")],
            ..Default::default()
        };
        let graph = Graph::new(&graph)?;
        let mut shapes = Shapes::default();
        for name in ["x", "a", "b", "c", "d"] {
            shapes.dims.insert(name.to_owned(), vec![1, 2, 4, 4]);
        }
        shapes.dims.insert("y".to_owned(), vec![1, 32]);
        let analysis = analyze(&graph, 13, &shapes)?;
        let ran: Vec<NodeTime> = ran
            .iter()
            .map(|name| NodeTime {
                name: (*name).to_owned(),
                ..NodeTime::default()
            })
            .collect();
        Ok(file_nodes(&graph, &analysis, &ran))
    }

    /// Operations and bytes, in tensors of 32 values and with the weights' 16 bytes where there are some.
    fn work(node: &FileNode) -> (f64, f64) {
        let work = node.work.unwrap();
        assert_eq!(work.element, ElementType::F32);
        (work.flops, work.bytes)
    }

    #[test]
    fn nodes_that_run_by_themselves_have_their_own_work() -> Result<()> {
        let found = seen(&["first", "relu", "second", "sum", "Flatten_4"])?;
        let each: Vec<_> = found.iter().map(work).collect();
        let conv = (2.0 * 64.0, 2.0 * 128.0 + 16.0);
        assert_eq!(each, [conv, (32.0, 256.0), conv, (32.0, 384.0), (0.0, 0.0)]);
        Ok(())
    }

    #[test]
    fn what_is_fused_to_a_layer_is_a_part_of_it() -> Result<()> {
        let found = seen(&["b_nchwc", "c_nchwc", "ReorderOutput", "Flatten_4"])?;
        let names: Vec<_> = found.iter().map(|n| n.name.as_deref().unwrap_or("–")).collect();
        assert_eq!(names, ["first", "second", "–", "Flatten#4(y)"]);
        assert_eq!(work(&found[0]), (128.0, 272.0), "x, w and b");
        assert_eq!(work(&found[1]), (128.0, 400.0), "b, w, b again and d");
        assert_eq!(found[2], FileNode::default());
        Ok(())
    }
}
