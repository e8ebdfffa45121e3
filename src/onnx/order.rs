//! The order of nodes: each behind those whose values it uses.

use std::collections::{HashMap, HashSet};

use super::graph::{captured_names, label};
use super::proto::{GraphProto, ModelProto, NodeProto};
use crate::{Error, Result};

/// Puts the nodes of a model in order, those in bodies and functions too, and says whether any moved. What a node needs is pulled
/// in front of it; everything else keeps its place.
///
/// # Errors
/// When nodes need each other in a circle; they are named.
pub(super) fn sort(model: &mut ModelProto) -> Result<bool> {
    let mut moved = false;
    if let Some(graph) = model.graph.as_mut() {
        moved |= sort_graph(graph)?;
    }
    for function in &mut model.functions {
        let given = function.input.iter().map(String::as_str).collect();
        moved |= sort_nodes(&mut function.node, &given)?;
    }
    Ok(moved)
}

/// Moves the nodes of the main graph that make values of constants alone, such as the floats of quantized weights, right in front of the
/// first that reads them: in front of all others they would be alive throughout, as large as all weights. Everything else keeps its place.
///
/// # Errors
/// When nodes need each other in a circle.
pub fn constants_to_readers(model: &mut ModelProto) -> Result<()> {
    let Some(graph) = model.graph.as_mut() else {
        return Ok(());
    };
    let mut constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name()).collect();
    graph.input.iter().for_each(|i| {
        constants.remove(i.name());
    });
    let mut late = vec![false; graph.node.len()];
    for (node, late) in graph.node.iter().zip(&mut late) {
        let mut read = node.input.iter().filter(|n| !n.is_empty());
        let of_constants = !node.input.is_empty() && read.all(|n| constants.contains(n.as_str()));
        let of_constants = of_constants && captured_names(node).is_empty();
        // Another name for a weight is as good where it stands.
        *late = of_constants && node.op_type() != "Identity";
        if of_constants || node.op_type() == "Constant" {
            constants.extend(node.output.iter().map(String::as_str));
        }
    }
    if !late.contains(&true) {
        return Ok(());
    }
    let weights = graph.initializer.iter().map(|t| t.name());
    let given = graph.input.iter().map(|v| v.name()).chain(weights).collect();
    let needs = needs(&graph.node, &given);
    let (last, first): (Vec<usize>, Vec<usize>) = (0..late.len()).partition(|&at| late[at]);
    let order = order(&graph.node, &needs, first.into_iter().chain(last))?;
    place(&mut graph.node, order);
    Ok(())
}

/// Puts nodes in an order.
fn place(nodes: &mut Vec<NodeProto>, order: Vec<usize>) {
    let mut taken: Vec<Option<NodeProto>> = std::mem::take(nodes).into_iter().map(Some).collect();
    nodes.extend(order.into_iter().filter_map(|at| taken.get_mut(at)?.take()));
}

fn sort_graph(graph: &mut GraphProto) -> Result<bool> {
    let weights = graph.initializer.iter().map(|t| t.name());
    let given = graph.input.iter().map(|v| v.name()).chain(weights).collect();
    sort_nodes(&mut graph.node, &given)
}

/// `given` is there before any node.
fn sort_nodes(nodes: &mut Vec<NodeProto>, given: &HashSet<&str>) -> Result<bool> {
    let mut moved = false;
    for attribute in nodes.iter_mut().flat_map(|n| &mut n.attribute) {
        for body in attribute.g.iter_mut().chain(&mut attribute.graphs) {
            moved |= sort_graph(body)?;
        }
    }
    let needs = needs(nodes, given);
    if needs
        .iter()
        .enumerate()
        .all(|(at, needed)| needed.iter().all(|(n, _)| *n < at))
    {
        return Ok(moved);
    }
    let order = order(nodes, &needs, 0..nodes.len())?;
    place(nodes, order);
    Ok(true)
}

/// The nodes that each node uses values of, and which; with what its bodies take from outside.
fn needs(nodes: &[NodeProto], given: &HashSet<&str>) -> Vec<Vec<(usize, String)>> {
    let mut producers: HashMap<&str, usize> = HashMap::new();
    for (at, node) in nodes.iter().enumerate() {
        for name in node
            .output
            .iter()
            .filter(|n| !n.is_empty() && !given.contains(n.as_str()))
        {
            producers.entry(name).or_insert(at);
        }
    }
    let of = |node: &NodeProto| {
        let mut captured: Vec<String> = captured_names(node).into_iter().collect();
        // A set has no order of its own.
        captured.sort_unstable();
        let used = node.input.iter().cloned().chain(captured);
        used.filter_map(|name| Some((*producers.get(name.as_str())?, name)))
            .collect()
    };
    nodes.iter().map(of).collect()
}

/// Depth first from one node after the other, without recursion: a graph may be a chain of any length.
fn order(
    nodes: &[NodeProto],
    needs: &[Vec<(usize, String)>],
    from: impl IntoIterator<Item = usize>,
) -> Result<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Placed,
    }
    let mut marks = vec![Mark::New; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    // Nodes that wait for what they need, and how many of those have been looked at.
    let mut waiting: Vec<(usize, usize)> = Vec::new();
    for first in from {
        if marks[first] != Mark::New {
            continue;
        }
        marks[first] = Mark::Open;
        waiting.push((first, 0));
        while let Some((node, seen)) = waiting.last_mut() {
            let Some((needed, _)) = needs[*node].get(*seen) else {
                marks[*node] = Mark::Placed;
                order.push(*node);
                waiting.pop();
                continue;
            };
            *seen += 1;
            match marks[*needed] {
                Mark::Placed => {}
                Mark::New => {
                    marks[*needed] = Mark::Open;
                    waiting.push((*needed, 0));
                }
                Mark::Open => return Err(circle(nodes, needs, &waiting, *needed)),
            }
        }
    }
    Ok(order)
}

/// At most so many nodes of a circle are named.
const NAMED: usize = 8;

/// Names the nodes of a circle that ends where `back` is needed again.
fn circle(nodes: &[NodeProto], needs: &[Vec<(usize, String)>], waiting: &[(usize, usize)], back: usize) -> Error {
    let begins = waiting.iter().position(|(n, _)| *n == back).unwrap_or(0);
    let ring = &waiting[begins..];
    let mut told: Vec<String> = ring
        .iter()
        .take(NAMED)
        .filter_map(|&(node, seen)| {
            let (producer, value) = needs[node].get(seen.checked_sub(1)?)?;
            let own = if *producer == node {
                "itself".to_owned()
            } else {
                label(&nodes[*producer], *producer)
            };
            Some(format!("{} uses '{value}' of {own}", label(&nodes[node], node)))
        })
        .collect();
    if ring.len() > NAMED {
        told.push(format!("and so on through {} more nodes", ring.len() - NAMED));
    }
    Error::Model(format!("the graph has a cycle: {}", told.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{constants_to_readers, sort};
    use crate::onnx::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};

    fn node(name: &str, inputs: &[&str], output: &str) -> NodeProto {
        NodeProto {
            name: Some(name.into()),
            op_type: Some("Add".into()),
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: vec![output.into()],
            ..Default::default()
        }
    }

    fn with_body(mut node: NodeProto, nodes: Vec<NodeProto>, output: &str) -> NodeProto {
        let body = GraphProto {
            node: nodes,
            output: vec![ValueInfoProto {
                name: Some(output.into()),
                ..Default::default()
            }],
            ..Default::default()
        };
        node.attribute.push(AttributeProto {
            g: Some(body),
            ..Default::default()
        });
        node
    }

    fn model(nodes: Vec<NodeProto>) -> ModelProto {
        ModelProto {
            graph: Some(GraphProto {
                node: nodes,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn names(nodes: &[NodeProto]) -> Vec<&str> {
        nodes.iter().map(|n| n.name()).collect()
    }

    #[test]
    fn what_is_needed_is_pulled_in_front_and_the_rest_keeps_its_place() {
        let mut unsorted = model(vec![
            node("a", &["x"], "1"),
            node("c", &["1", "late"], "3"),
            node("b", &["x"], "2"),
            node("cast", &["x"], "late"),
            node("d", &["3", "2"], "4"),
        ]);
        assert!(sort(&mut unsorted).unwrap());
        assert_eq!(
            names(&unsorted.graph.as_ref().unwrap().node),
            ["a", "cast", "c", "b", "d"]
        );
        assert!(!sort(&mut unsorted).unwrap());
    }

    #[test]
    fn what_constants_become_stands_in_front_of_its_first_reader() {
        let mut quantized = model(vec![
            node("w1", &["q1"], "f1"),
            node("w2", &["q2", "q1"], "f2"),
            node("turned", &["f2"], "t2"),
            node("given", &["x"], "y"),
            node("a", &["y", "f1"], "1"),
            node("b", &["1", "t2"], "2"),
            node("c", &["2", "f1"], "3"),
            node("unread", &["q1"], "u"),
        ]);
        let graph = quantized.graph.as_mut().unwrap();
        graph.initializer = ["q1", "q2"]
            .map(|name| TensorProto {
                name: Some(name.into()),
                ..Default::default()
            })
            .into();
        constants_to_readers(&mut quantized).unwrap();
        let expected = ["given", "w1", "a", "w2", "turned", "b", "c", "unread"];
        assert_eq!(names(&quantized.graph.as_ref().unwrap().node), expected);
        // What callers may replace is no constant.
        let graph = quantized.graph.as_mut().unwrap();
        let given = ["q1", "q2"].map(|name| ValueInfoProto {
            name: Some(name.into()),
            ..Default::default()
        });
        (graph.input, graph.node) = (given.into(), vec![node("w1", &["q1"], "f1"), node("a", &["x"], "1")]);
        constants_to_readers(&mut quantized).unwrap();
        assert_eq!(names(&quantized.graph.as_ref().unwrap().node), ["w1", "a"]);
    }

    #[test]
    fn bodies_are_sorted_and_what_they_capture_comes_before_them() {
        let body = vec![node("inner2", &["i"], "o"), node("inner1", &["captured"], "i")];
        let mut unsorted = model(vec![
            with_body(node("if", &["flag"], "y"), body, "o"),
            node("maker", &["x"], "captured"),
        ]);
        assert!(sort(&mut unsorted).unwrap());
        let nodes = &unsorted.graph.as_ref().unwrap().node;
        assert_eq!(names(nodes), ["maker", "if"]);
        let inner = &nodes[1].attribute[0].g.as_ref().unwrap().node;
        assert_eq!(names(inner), ["inner1", "inner2"]);
    }

    #[test]
    fn a_cycle_is_refused_and_its_nodes_are_named() {
        let mut ring = model(vec![
            node("before", &["x"], "0"),
            node("a", &["0", "c1"], "a1"),
            node("b", &["a1"], "b1"),
            node("c", &["b1"], "c1"),
            node("behind", &["c1"], "y"),
        ]);
        let told = sort(&mut ring).unwrap_err().to_string();
        assert_eq!(
            told,
            "the graph has a cycle: a uses 'c1' of c, c uses 'b1' of b, b uses 'a1' of a"
        );
        let mut own = model(vec![node("a", &["a1"], "a1")]);
        let told = sort(&mut own).unwrap_err().to_string();
        assert_eq!(told, "the graph has a cycle: a uses 'a1' of itself");
    }

    #[test]
    fn a_long_chain_in_reverse_is_sorted() {
        let chain = (0..50_000).map(|k| node("n", &[&format!("v{k}")], &format!("v{}", k + 1)));
        let mut nodes: Vec<_> = chain.collect();
        nodes.reverse();
        let mut reversed = model(nodes);
        assert!(sort(&mut reversed).unwrap());
        assert_eq!(reversed.graph.unwrap().node[0].input, ["v0"]);
    }
}
