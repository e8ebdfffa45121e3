//! Residual branches go: who reads a sum reads what the branch was added to.

use std::collections::{BTreeSet, HashMap};

use crate::channels::{Analysis, Branch};
use crate::onnx::Graph;
use crate::onnx::proto::{GraphProto, NodeProto};

/// The nodes that go with branches. Where a sum is an output of the graph or read in a body, its last node stays, to hand on what is left.
pub(super) fn nodes(graph: &Graph, analysis: &Analysis, branches: &BTreeSet<usize>) -> BTreeSet<usize> {
    let gone = analysis.branches_at(branches);
    gone.flat_map(|branch| {
        let hands_on = handing_on(graph, &branch.sum);
        branch.nodes.iter().copied().filter(move |&n| Some(n) != hands_on)
    })
    .collect()
}

/// The node that makes a value which the graph gives out or a body reads.
fn handing_on(graph: &Graph, sum: &str) -> Option<usize> {
    graph.producer.get(sum).copied().filter(|_| graph.is_seen_outside(sum))
}

/// Lets all who read a sum read what its branch was added to, in a graph whose nodes still stand at their old places.
pub(super) fn bypass(target: &mut GraphProto, graph: &Graph, analysis: &Analysis, branches: &BTreeSet<usize>) {
    let gone: Vec<&Branch> = analysis.branches_at(branches).collect();
    let direct: HashMap<&str, &str> = gone.iter().map(|b| (b.sum.as_str(), b.stays.as_str())).collect();
    // What stays of one branch may be the sum of one before.
    let left = |name: &str| {
        let mut name = name.to_owned();
        while let Some(before) = direct.get(name.as_str()) {
            name = (*before).to_owned();
        }
        name
    };
    for name in target.node.iter_mut().flat_map(|n| n.input.iter_mut()) {
        if direct.contains_key(name.as_str()) {
            *name = left(name);
        }
    }
    for branch in gone {
        let Some(at) = handing_on(graph, &branch.sum) else {
            continue;
        };
        if let Some(node) = target.node.get_mut(at) {
            *node = NodeProto {
                name: node.name.clone(),
                op_type: Some("Identity".to_owned()),
                input: vec![left(&branch.sum)],
                output: vec![branch.sum.clone()],
                ..NodeProto::default()
            };
        }
    }
}
