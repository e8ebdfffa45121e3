//! Broadcasts that are written out go where the nodes behind them can do them, and nowhere else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cases;

use crate::common;

use std::collections::BTreeSet;

use cases::{Build, GO, STAY, built, expand_as, expand_to, none, with_open_batch};
use common::net::Net;
use common::priced::{Priced, Silent};
use common::{Case, cpu, runtime};
use snapprune::channels::ChannelChange;
use snapprune::device::{Executor, ShapeOptions, random_inputs};
use snapprune::onnx::proto::{ModelProto, NodeProto};
use snapprune::onnx::{Dtype, Graph, encode};
use snapprune::optimize::{Known, Options, Workload, open, optimize};
use snapprune::plan::{Plan, PlanFile, Removable};
use snapprune::report::{outcome_json, outcome_text};

fn all_gone(case: &Case) -> ChannelChange {
    ChannelChange {
        broadcasts: case.analysis.broadcasts.clone(),
        ..Default::default()
    }
}

fn count(model: &ModelProto, op: &str) -> usize {
    let nodes = &model.graph.as_ref().unwrap().node;
    nodes.iter().filter(|n| n.op_type() == op).count()
}

/// The outputs of two models are the same bytes, at several batches.
fn same_bytes(case: &Case, a: &ModelProto, b: &ModelProto, name: &str) {
    for batch in [1, 3] {
        let mut specs = case.specs.clone();
        specs.iter_mut().for_each(|s| s.dims[0] = batch);
        let inputs = random_inputs(&specs, 7, 1.0).unwrap();
        let [a, b] = [a, b].map(|m| cpu().outputs(&encode(m), &inputs).unwrap());
        assert!(a == b, "{name} at batch {batch}");
    }
}

#[test]
fn broadcasts_that_the_nodes_behind_can_do_go() {
    for (name, build) in GO {
        let case = Case::new(&with_open_batch(built(build).model())).unwrap_or_else(|e| panic!("{name}: {e}"));
        let written = count(&case.proto, "Expand");
        assert_eq!(case.analysis.broadcasts.len(), written, "{name}");
        let without = case.apply(&all_gone(&case)).unwrap();
        assert_eq!(count(&without, "Expand"), 0, "{name}");
        same_bytes(&case, &case.proto, &without, name);
        // What only the targets were made from is gone too, and nothing else.
        assert_eq!(unread(&without), unread(&case.proto), "{name}");
        let left: BTreeSet<&str> = without
            .graph
            .as_ref()
            .unwrap()
            .node
            .iter()
            .map(NodeProto::name)
            .collect();
        let gone = case
            .proto
            .graph
            .as_ref()
            .unwrap()
            .node
            .iter()
            .filter(|n| !left.contains(n.name()));
        assert!(
            gone.into_iter()
                .all(|n| ["Expand", "Shape", "Concat", "Gather"].contains(&n.op_type())),
            "{name}"
        );
    }
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
fn other_broadcasts_stay() {
    for (name, build) in STAY {
        let case = Case::new(&with_open_batch(built(build).model())).unwrap_or_else(|e| panic!("{name}: {e}"));
        let expands = count(&case.proto, "Expand");
        assert!(expands > 0 && case.analysis.broadcasts.is_empty(), "{name}");
        let all = (0..case.proto.graph.as_ref().unwrap().node.len()).collect();
        let change = ChannelChange {
            broadcasts: all,
            ..Default::default()
        };
        assert!(case.apply(&change).is_err(), "{name}");
    }
}

#[test]
fn targets_that_callers_may_replace_stay() {
    let mut net = built(|n, x, s| {
        let e = expand_to(n, s, &[1, 8, 6, 6]);
        n.node("Mul", &[x, &e], none)
    });
    let target = net.graph.node.iter().find(|n| n.op_type() == "Expand").unwrap().input[1].clone();
    net.input_of(&target, Dtype::Int64, &[4]);
    let model = net.model();
    let graph = Graph::of(&model).unwrap();
    let specs = snapprune::device::input_specs(&graph, &ShapeOptions::default()).unwrap();
    let shapes = snapprune::device::observe(&runtime(), &model, &specs).unwrap().shapes;
    let analysis = snapprune::channels::analyze(&graph, 17, &shapes).unwrap();
    assert!(analysis.broadcasts.is_empty());
}

#[test]
fn they_go_together_with_widths() {
    let attention: Build = |n, x, s| {
        let s = n.conv(s, 8, 8, 1, 1);
        let e = expand_as(n, &s, x);
        let y = n.node("Mul", &[x, &e], none);
        let whole = expand_to(n, &s, &[1, 8, 6, 6]);
        let y = n.node("Add", &[&y, &whole], none);
        n.conv(&y, 8, 4, 1, 1)
    };
    for (name, build) in [
        ("attention", attention),
        ("ECA", |n, x, _| {
            let y = n.eca(x, 3);
            n.conv(&y, 8, 4, 1, 1)
        }),
    ] {
        let case = Case::new(&with_open_batch(built(build).model())).unwrap();
        let mut changes = vec![case.grow_all(0.5)];
        changes.extend((0..2).map(|seed| case.prune_all(0.4, &mut fastrand::Rng::with_seed(seed))));
        for change in changes {
            let with = case.apply(&change).unwrap();
            let without = case
                .apply(&ChannelChange {
                    broadcasts: case.analysis.broadcasts.clone(),
                    ..change
                })
                .unwrap();
            assert!(count(&with, "Expand") > 0 && count(&without, "Expand") == 0, "{name}");
            same_bytes(&case, &with, &without, name);
        }
    }
}

#[test]
fn plan_files_name_them() {
    let case = Case::new(&with_open_batch(built(|n, x, _| n.eca(x, 3)).model())).unwrap();
    let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
    let plan = Plan {
        broadcasts: case.analysis.broadcasts.clone(),
        ..Default::default()
    };
    assert!(!plan.is_empty());
    let file = |plan: &Plan| PlanFile::new("hash", &graph, &case.analysis, plan, &Removable::default());
    let named = file(&plan);
    let text = serde_json::to_string(&named).unwrap();
    let read: PlanFile = serde_json::from_str(&text).unwrap();
    assert_eq!(read, named);
    let change = read.change(&graph, &case.analysis).unwrap();
    assert_eq!(change.broadcasts, plan.broadcasts);
    assert!(
        !serde_json::to_string(&file(&Plan::default()))
            .unwrap()
            .contains("broadcasts")
    );
    let of_another = text.replace(&named.broadcasts[0], "elsewhere");
    let read: PlanFile = serde_json::from_str(&of_another).unwrap();
    let why = read.change(&graph, &case.analysis).unwrap_err().to_string();
    assert!(why.contains("elsewhere is no broadcast"), "{why}");
}

/// A map for which its broadcast counts, on a device with a price for each element: no width may change.
#[test]
fn the_job_takes_them_where_that_is_faster_and_says_so() {
    let mut net = Net::new(17, 5);
    let x = net.input("image", &[1, 16, 64, 64]);
    let s = net.node("GlobalAveragePool", &[&x], none);
    let e = expand_as(&mut net, &s, &x);
    let y = net.node("Mul", &[&x, &e], none);
    net.output(&y);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.onnx");
    std::fs::write(&file, encode(&with_open_batch(net.model()))).unwrap();
    let opened = open(&file, &runtime(), &ShapeOptions::default()).unwrap();
    let workloads = [Workload { opened, weight: 1.0 }];
    let run = |options: &Options| optimize(&workloads, &Priced::new(), Known::default(), options, &Silent).unwrap();
    let outcome = run(&Options::default());
    let name = outcome.broadcasts_removed().to_vec();
    assert_eq!(name.len(), 1, "{:?}", outcome.declined);
    assert!(outcome.ratio.unwrap().0 < 0.6, "{:?}", outcome.ratio);
    assert_eq!(outcome.agreement.as_ref().unwrap().max_abs_diff, 0.0);
    assert!(outcome.model.is_some());
    let report = outcome_json("net.onnx", &workloads, &outcome);
    assert_eq!(report["broadcasts_removed"][0], name[0].as_str());
    let text = outcome_text(&outcome, snapprune::report::Listed::Changed);
    assert!(
        text.contains(&format!(
            "broadcast 1 that was written out is left to the node behind it: {}",
            name[0]
        )),
        "{text}"
    );
    // A node that is to be kept stays.
    let outcome = run(&Options {
        keep: name,
        ..Options::default()
    });
    assert!(outcome.model.is_none() && outcome.broadcasts_removed().is_empty());
}
