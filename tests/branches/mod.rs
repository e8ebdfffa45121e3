//! Residual branches that go as a whole: where they are found, that what is left is right, and jobs that take them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fit;
mod jobs;
mod plans;
mod predicted;
mod quantized;

use crate::common;

use std::collections::BTreeSet;

use common::net::Net;
use common::{Case, cpu};
use snapprune::channels::ChannelChange;
use snapprune::device::Executor;
use snapprune::onnx::proto::{ModelProto, NodeProto};
use snapprune::onnx::{Tensor, encode};

fn none(_: &mut NodeProto) {}

fn relu(net: &mut Net, x: &str) -> String {
    net.node("Relu", &[x], none)
}

fn basic(net: &mut Net, x: &str) -> String {
    let y = net.conv(x, 8, 12, 3, 1);
    let y = relu(net, &y);
    net.conv(&y, 12, 8, 3, 1)
}

fn bottleneck(net: &mut Net, x: &str) -> String {
    let y = net.conv(x, 8, 6, 1, 1);
    let y = relu(net, &y);
    let y = net.conv(&y, 6, 10, 3, 1);
    let y = relu(net, &y);
    net.conv(&y, 10, 8, 1, 1)
}

fn inverted(net: &mut Net, x: &str) -> String {
    let y = net.conv(x, 8, 24, 1, 1);
    let y = relu(net, &y);
    let y = net.conv(&y, 24, 24, 3, 24);
    let y = relu(net, &y);
    net.conv(&y, 24, 8, 1, 1)
}

fn excited(net: &mut Net, x: &str) -> String {
    let y = basic(net, x);
    let s = net.node("GlobalAveragePool", &[&y], none);
    let s = net.conv(&s, 8, 4, 1, 1);
    let s = relu(net, &s);
    let s = net.conv(&s, 4, 8, 1, 1);
    let s = net.node("Sigmoid", &[&s], none);
    net.node("Mul", &[&y, &s], none)
}

/// What is added to what, behind a layer: gives the sum.
type Block = fn(&mut Net, &str) -> String;

fn plain(net: &mut Net, x: &str) -> String {
    let x = relu(net, x);
    let f = basic(net, &x);
    let y = net.node("Add", &[&f, &x], none);
    relu(net, &y)
}

/// What is seen of all places, added to each (GCNet), the broadcast written out.
fn global_context(net: &mut Net, x: &str) -> String {
    let s = net.node("GlobalAveragePool", &[x], none);
    let s = net.conv(&s, 8, 4, 1, 1);
    let s = relu(net, &s);
    let s = net.conv(&s, 4, 8, 1, 1);
    let shape = net.node("Shape", &[x], none);
    let s = net.node("Expand", &[&s, &shape], none);
    net.node("Add", &[x, &s], none)
}

/// Blocks with one branch each, and the groups within it.
const BLOCKS: [(&str, Block, usize); 7] = [
    ("plain", plain, 1),
    (
        "bottleneck",
        |net, x| {
            let x = relu(net, x);
            let f = bottleneck(net, &x);
            let y = net.node("Add", &[&x, &f], none);
            relu(net, &y)
        },
        2,
    ),
    (
        "inverted",
        |net, x| {
            let f = inverted(net, x);
            net.node("Add", &[x, &f], none)
        },
        1,
    ),
    (
        "excited",
        |net, x| {
            let x = relu(net, x);
            let f = excited(net, &x);
            let y = net.node("Add", &[&f, &x], none);
            relu(net, &y)
        },
        2,
    ),
    (
        "with a shortcut",
        |net, x| {
            let x = relu(net, x);
            let (s, f) = (net.conv(&x, 8, 8, 1, 1), basic(net, &x));
            let y = net.node("Add", &[&f, &s], none);
            relu(net, &y)
        },
        1,
    ),
    (
        "of what may be negative",
        |net, x| {
            let f = basic(net, x);
            let y = net.node("Add", &[&f, x], none);
            relu(net, &y)
        },
        1,
    ),
    (
        "in front of another",
        |net, x| {
            let y = plain(net, x);
            // Read by another, too, so that it is no branch.
            let f = net.conv(&y, 8, 8, 3, 1);
            net.node("Mul", &[&f, &y], none)
        },
        1,
    ),
];

/// A layer, a block, and a layer.
fn network(block: Block) -> Case {
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[1, 3, 8, 8]);
    let x = net.conv(&x, 3, 8, 3, 1);
    let y = block(&mut net, &x);
    let y = net.conv(&y, 8, 5, 3, 1);
    net.output(&y);
    Case::new(&net.model()).unwrap()
}

fn all_gone(case: &Case) -> ChannelChange {
    ChannelChange {
        branches: case.analysis.branches.keys().copied().collect(),
        ..Default::default()
    }
}

/// The model with nothing added by a branch: what stays, less itself, in place of what was added.
fn with_nothing_added(case: &Case) -> ModelProto {
    let mut proto = case.proto.clone();
    let graph = proto.graph.as_mut().unwrap();
    for (k, branch) in case.analysis.branches.values().rev().enumerate() {
        let nothing = format!("nothing{k}");
        for name in graph.node[branch.add].input.iter_mut().filter(|n| **n == branch.addend) {
            name.clone_from(&nothing);
        }
        graph.node.insert(
            branch.add,
            NodeProto {
                op_type: Some("Sub".to_owned()),
                input: vec![branch.stays.clone(), branch.stays.clone()],
                output: vec![nothing],
                ..Default::default()
            },
        );
    }
    proto
}

/// The greatest difference of the outputs of two models on the same inputs.
fn apart(case: &Case, a: &ModelProto, b: &ModelProto) -> f32 {
    let run = |m: &ModelProto| cpu().outputs(&encode(m), &case.inputs(4)).unwrap();
    let (a, b) = (run(a), run(b));
    let values =
        |outputs: &[(String, Tensor)]| -> Vec<f32> { outputs.iter().flat_map(|(_, t)| t.to_f32().unwrap()).collect() };
    let pairs = values(&a).into_iter().zip(values(&b)).collect::<Vec<_>>();
    assert!(!pairs.is_empty());
    pairs.into_iter().map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The values and weights of a model that nothing reads.
fn unread(model: &ModelProto) -> BTreeSet<String> {
    let graph = model.graph.as_ref().unwrap();
    let read: BTreeSet<&str> = graph.node.iter().flat_map(|n| &n.input).map(String::as_str).collect();
    let made = graph.node.iter().flat_map(|n| &n.output).map(String::as_str);
    let all = made.chain(graph.initializer.iter().map(|t| t.name()));
    all.filter(|n| !read.contains(n)).map(str::to_owned).collect()
}

#[test]
fn what_a_branch_was_added_to_is_handed_on() {
    for (name, block, groups) in BLOCKS {
        let case = network(block);
        let branches: Vec<_> = case.analysis.branches.values().collect();
        assert_eq!(branches.len(), 1, "{name}");
        assert_eq!(branches[0].groups.len(), groups, "{name}");
        let without = case.apply(&all_gone(&case)).unwrap();
        assert!(apart(&case, &case.proto, &without) > 1e-3, "{name}");
        assert!(apart(&case, &with_nothing_added(&case), &without) < 1e-5, "{name}");
        let ops = |m: &ModelProto| -> Vec<String> {
            m.graph
                .as_ref()
                .unwrap()
                .node
                .iter()
                .map(|n| n.op_type().to_owned())
                .collect()
        };
        assert!(!ops(&without).contains(&"Add".to_owned()), "{name}");
        assert_eq!(
            ops(&without).len(),
            ops(&case.proto).len() - branches[0].nodes.len(),
            "{name}"
        );
        assert_eq!(unread(&without), unread(&case.proto), "{name}");
    }
}

/// A Relu goes with the branch only where what stays is never negative.
#[test]
fn an_activation_stays_where_it_does_something() {
    for (block, stays) in [(BLOCKS[0].1, 2), (BLOCKS[5].1, 1)] {
        let case = network(block);
        let without = case.apply(&all_gone(&case)).unwrap();
        let relus = without
            .graph
            .as_ref()
            .unwrap()
            .node
            .iter()
            .filter(|n| n.op_type() == "Relu")
            .count();
        assert_eq!(relus, stays - usize::from(stays == 2));
        let ends = case.analysis.branches.values().next().unwrap();
        assert_eq!(ends.nodes.len(), if stays == 2 { 5 } else { 4 });
    }
}

#[test]
fn branches_go_together_with_widths_and_one_behind_the_other() {
    let case = network(|net, x| {
        let y = plain(net, x);
        let f = bottleneck(net, &y);
        let y = net.node("Add", &[&y, &f], none);
        let y = relu(net, &y);
        let f = basic(net, &y);
        net.node("Add", &[&y, &f], none)
    });
    assert_eq!(case.analysis.branches.len(), 3);
    let expected = with_nothing_added(&case);
    assert!(apart(&case, &expected, &case.apply(&all_gone(&case)).unwrap()) < 1e-5);
    // Groups within the branches change nothing that is left.
    let inside: BTreeSet<usize> = case.analysis.branches.values().flat_map(|b| b.groups.clone()).collect();
    let mut narrow = ChannelChange::default();
    for group in case.analysis.groups.iter().filter(|g| g.constraint.is_none()) {
        narrow.removed.extend(&group.classes[..2]);
    }
    let both = ChannelChange {
        branches: all_gone(&case).branches,
        ..narrow.clone()
    };
    let found = case.apply(&both).unwrap();
    let outside = ChannelChange {
        removed: case
            .analysis
            .groups
            .iter()
            .filter(|g| g.constraint.is_none() && !inside.contains(&g.id))
            .flat_map(|g| g.classes[..2].to_vec())
            .collect(),
        branches: both.branches.clone(),
        ..Default::default()
    };
    assert_eq!(encode(&case.apply(&outside).unwrap()), encode(&found));
    let narrowed = Case::new(&case.apply(&narrow).unwrap()).unwrap();
    assert!(apart(&case, &with_nothing_added(&narrowed), &found) < 1e-5);
    let not_there = ChannelChange {
        branches: BTreeSet::from([0]),
        ..Default::default()
    };
    assert!(case.apply(&not_there).is_err());
}

#[test]
fn a_sum_that_the_graph_gives_out_keeps_its_name() {
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[1, 3, 8, 8]);
    let x = net.conv(&x, 3, 8, 3, 1);
    let f = basic(&mut net, &x);
    let y = net.node("Add", &[&f, &x], none);
    let z = net.conv(&y, 8, 4, 1, 1);
    net.output(&y);
    net.output(&z);
    let case = Case::new(&net.model()).unwrap();
    let without = case.apply(&all_gone(&case)).unwrap();
    let outputs = |m: &ModelProto| m.graph.as_ref().unwrap().output.clone();
    assert_eq!(outputs(&without), outputs(&case.proto));
    assert!(apart(&case, &with_nothing_added(&case), &without) < 1e-6);
}

#[test]
fn sums_of_anything_else_are_no_branches() {
    let others: [(&str, Block); 4] = [
        ("two towers", |net, x| {
            let other = net.input("other", &[1, 8, 8, 8]);
            let (a, b) = (net.conv(x, 8, 8, 3, 1), basic(net, &other));
            net.node("Add", &[&a, &b], none)
        }),
        ("a branch that another reads", |net, x| {
            let f = net.conv(x, 8, 12, 3, 1);
            let g = net.conv(&f, 12, 8, 3, 1);
            let y = net.node("Add", &[&g, x], none);
            let h = net.conv(&f, 12, 8, 1, 1);
            net.node("Mul", &[&y, &h], none)
        }),
        ("a row added to all places", |net, x| {
            let f = net.node("GlobalAveragePool", &[x], none);
            let f = net.conv(&f, 8, 12, 1, 1);
            let f = net.conv(&f, 12, 8, 1, 1);
            net.node("Add", &[&f, x], none)
        }),
        ("a single layer", |net, x| {
            let f = net.conv(x, 8, 8, 3, 1);
            net.node("Add", &[&f, x], none)
        }),
    ];
    for (name, block) in others {
        assert!(network(block).analysis.branches.is_empty(), "{name}");
    }
}
