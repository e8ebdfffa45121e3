//! Peak activation memory: the count, and plans within a limit on it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use common::net::Net;
use common::priced::{Priced, Silent};
use common::runtime;
use snapprune::device::{ShapeOptions, input_specs, observe};
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Attributes, Graph, encode};
use snapprune::optimize::{Amount, Goals, Known, Options, Outcome, WhenSlower, Workload, open, optimize};
use snapprune::plan::Metric;

/// Two branches of a concatenation, then a residual block.
fn net() -> ModelProto {
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[2, 3, 12, 12]);
    let stem = net.conv(&x, 3, 24, 3, 1);
    let stem = net.node("Relu", &[&stem], |_| {});
    let parts = [32, 48].map(|n| net.conv(&stem, 24, n, 1, 1));
    let joined = net.node("Concat", &[&parts[0], &parts[1]], |n| n.set_int("axis", 1));
    let stream = net.conv(&joined, 80, 64, 1, 1);
    let branch = net.conv(&stream, 64, 96, 3, 1);
    let branch = net.node("Relu", &[&branch], |_| {});
    let branch = net.conv(&branch, 96, 64, 3, 1);
    let sum = net.node("Add", &[&stream, &branch], |_| {});
    let last = net.conv(&sum, 64, 8, 1, 1);
    let y = net.node("GlobalAveragePool", &[&last], |_| {});
    net.output(&y);
    net.model()
}

/// Counted node by node, with nothing but the file and the shapes of a run; all values are of four bytes.
fn peak(model: &ModelProto) -> u64 {
    let graph = Graph::of(model).unwrap();
    let specs = input_specs(&graph, &ShapeOptions::default()).unwrap();
    let shapes = observe(&runtime(), model, &specs).unwrap().shapes.dims;
    let nodes = &graph.proto.node;
    let outputs: HashSet<&str> = graph.proto.output.iter().map(|o| o.name()).collect();
    let mut made: HashMap<&str, usize> = graph.real_inputs().into_iter().map(|n| (n, 0)).collect();
    for (at, node) in nodes.iter().enumerate().filter(|(_, n)| n.op_type() != "Constant") {
        made.extend(node.output.iter().map(|n| (n.as_str(), at)));
    }
    let alive = |name: &str, from: usize, at: usize| {
        let later = nodes[at..].iter().any(|n| n.input.iter().any(|i| i == name));
        from <= at && (later || from == at || outputs.contains(name))
    };
    let bytes = |name: &str| 4 * shapes[name].iter().product::<usize>() as u64;
    let sum = |at: usize| -> u64 {
        let values = made.iter().filter(|(name, from)| alive(name, **from, at));
        values.map(|(name, _)| bytes(name)).sum()
    };
    (0..nodes.len()).map(sum).max().unwrap()
}

fn job(path: &Path, goals: Goals) -> Outcome {
    let opened = open(path, &runtime(), &ShapeOptions::default()).unwrap();
    let options = Options {
        goals,
        when_slower: WhenSlower::Write,
        min_width: 1,
        ..Options::default()
    };
    let workloads = [Workload { opened, weight: 1.0 }];
    optimize(&workloads, &Priced::new(), Known::default(), &options, &Silent).unwrap()
}

/// The written model, counted anew.
fn written(outcome: &Outcome) -> u64 {
    let model = outcome
        .model
        .as_ref()
        .unwrap_or_else(|| panic!("{:?}", outcome.declined));
    peak(&snapprune::onnx::parse(model.clone()).unwrap().proto)
}

#[test]
fn plans_keep_to_a_limit_on_memory_and_the_count_is_that_of_the_written_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    let model = net();
    std::fs::write(&path, encode(&model)).unwrap();
    // The activation of the residual block: the stream, and the branch before and behind it.
    let before = 4 * 2 * 144 * (64 + 96 + 96);
    assert_eq!(peak(&model), before);
    let goals = Goals::default();
    for share in [0.9, 0.7, 0.5] {
        let most = share * before as f64;
        for goals in [
            goals.at_most(Metric::Memory, Amount::Times(share)),
            goals.at_most(Metric::Memory, Amount::Plain(most)),
            goals
                .at_most(Metric::Memory, Amount::Times(share))
                .at_most(Metric::Macs, Amount::Times(share)),
        ] {
            let outcome = job(&path, goals);
            let counted = outcome.counted[Metric::Memory];
            assert_eq!((counted.before, counted.after), (before, written(&outcome)));
            assert!(counted.after as f64 <= most, "{counted:?}");
            // Nothing is given away: a limit is used up but for a channel or two of each value.
            let alone = goals.limits[Metric::Macs].is_none();
            assert!(!alone || counted.after as f64 >= 0.85 * most, "{counted:?}");
            let macs = outcome.counted[Metric::Macs];
            assert!(alone || macs.after as f64 <= share * macs.before as f64, "{macs:?}");
        }
    }
    let why = job(&path, goals.at_most(Metric::Memory, Amount::Plain(1024.0)))
        .declined
        .unwrap();
    let why = why.to_string();
    assert!(
        why.starts_with("peak activation memory: 1.00 KiB cannot be reached; the least is 0."),
        "{why}"
    );
}
