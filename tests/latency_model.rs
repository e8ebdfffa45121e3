//! One latency model: the tables of a search add up to what plans are predicted to take.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use crate::common;

use common::command::model;
use common::net::Net;
use common::priced::Priced;
use common::runtime;

use snapprune::device::{CpuFallback, Kernel, NodeClock, NodeRuns, ShapeOptions, Timer, random_inputs};
use snapprune::onnx::encode;
use snapprune::optimize::{Opened, open};
use snapprune::plan::{Grid, LatencyModel, LayersAt, SearchSpace, narrower};
use snapprune::profile::{InModel, NodeMs, Prober, Record, RecordFacts, in_model, layers};

/// Four branches of a concatenation, whose layers behind read the channels of four groups; then a residual block.
fn branches(folder: &std::path::Path) -> std::path::PathBuf {
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[1, 3, 12, 12]);
    let stem = net.conv(&x, 3, 24, 3, 1);
    let stem = net.node("Relu", &[&stem], |_| {});
    let parts: Vec<String> = [32, 32, 48, 64].map(|n| net.conv(&stem, 24, n, 1, 1)).to_vec();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let joined = net.node("Concat", &parts, |n| snapprune::onnx::Attributes::set_int(n, "axis", 1));
    let stream = net.conv(&joined, 176, 64, 1, 1);
    let branch = net.conv(&stream, 64, 40, 3, 1);
    let branch = net.node("Relu", &[&branch], |_| {});
    let branch = net.conv(&branch, 40, 64, 3, 1);
    let sum = net.node("Add", &[&stream, &branch], |_| {});
    let last = net.conv(&sum, 64, 8, 1, 1);
    let y = net.node("GlobalAveragePool", &[&last], |_| {});
    net.output(&y);
    let path = folder.join("branches.onnx");
    std::fs::write(&path, encode(&net.model())).unwrap();
    path
}

/// Tables and totals of random plans of one model; how many layers were written as sums of pairs.
fn agree(opened: &Opened, random: &mut fastrand::Rng) -> usize {
    let graph = opened.graph().unwrap();
    let analysis = &opened.analysis;
    let (device, layers) = (Priced::new(), layers(&graph, analysis));
    let mut prober = Prober::new(&device, None);
    let mut latency = LatencyModel::new(&graph, analysis, &layers);
    let base: Vec<usize> = analysis.groups.iter().map(|g| g.classes.len()).collect();
    let free = analysis
        .groups
        .iter()
        .filter(|g| g.constraint.is_none() && g.classes.len() > 1);
    let (mut groups, mut options) = (Vec::new(), Vec::new());
    for group in free {
        let mut counts = narrower(group, 1, Grid::Fine);
        counts.push(base[group.id]);
        groups.push(group.id);
        options.push(counts);
    }
    let space = SearchSpace {
        groups,
        options,
        base,
        together: Vec::new(),
    };
    let mut choose = || -> Vec<usize> { space.sizes().iter().map(|&n| random.usize(0..n)).collect() };
    // Other widths lie between those that are timed.
    let at = |counts| LayersAt {
        layers: latency.all(),
        counts,
    };
    let mut timed = vec![at(space.base.clone())];
    timed.extend((0..3).map(|_| at(space.counts(&choose()))));
    latency.require(&mut prober, &timed, &|_, _| {}).unwrap();
    let inputs = random_inputs(&opened.specs, 0, 1.0).unwrap();
    let nodes = device
        .node_times(
            &encode(&opened.proto),
            &inputs,
            NodeRuns {
                warmup: 0,
                timed: 3,
                fallback: CpuFallback::Allowed,
            },
        )
        .unwrap()
        .unwrap();
    latency.correct(&in_model(&graph, &layers, &nodes, None), &space.base, 7.0);
    assert!((latency.predict(&space.base).unwrap() - 7.0).abs() < 1e-9);
    let tables = latency.tables(&space);
    for _ in 0..200 {
        let choice = choose();
        let (sum, total) = (
            tables.of(&space.sizes(), &choice),
            latency.predict(&space.counts(&choice)).unwrap(),
        );
        assert!((sum - total).abs() <= 1e-11 * total.abs(), "{sum} {total}");
    }
    tables.factors.iter().filter(|f| f.over.is_empty()).count() - 1
}

#[test]
fn the_tables_of_a_search_add_up_to_the_prediction() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    let opened = |path: &std::path::Path| open(path, &runtime(), &ShapeOptions::default()).unwrap();
    agree(&opened(&model("shapes96_misaligned.onnx")), &mut random);
    let split = agree(&opened(&branches(folder.path())), &mut random);
    assert!(split > 0, "a layer of five groups is a sum of pairs");
}

/// Two convolutions, whose layers' records at the present widths and one channel fewer are made up.
struct Two {
    latency: LatencyModel,
    base: Vec<usize>,
    odd: Vec<usize>,
}

impl Two {
    /// Milliseconds of every record, and its facts: at the present widths, and at one channel fewer.
    fn new(samples: [f64; 2], facts: [RecordFacts; 2]) -> Self {
        Self::of(samples, facts, false)
    }

    /// The same, captured as a graph or not.
    fn of(samples: [f64; 2], facts: [RecordFacts; 2], captured: bool) -> Self {
        let mut net = Net::new(17, 3);
        let x = net.input("x", &[1, 3, 8, 8]);
        let first = net.conv(&x, 3, 24, 3, 1);
        let first = net.node("Relu", &[&first], |_| {});
        let last = net.conv(&first, 24, 8, 3, 1);
        let last = net.node("Relu", &[&last], |_| {});
        net.output(&last);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two.onnx");
        std::fs::write(&path, encode(&net.model())).unwrap();
        let opened = open(&path, &runtime(), &ShapeOptions::default()).unwrap();
        let (graph, analysis) = (opened.graph().unwrap(), &opened.analysis);
        let mut latency = LatencyModel::new(&graph, analysis, &layers(&graph, analysis)).captured(captured);
        let base: Vec<usize> = analysis.groups.iter().map(|g| g.classes.len()).collect();
        let free = analysis.groups.iter().find(|g| g.constraint.is_none()).unwrap().id;
        let mut odd = base.clone();
        odd[free] -= 1;
        let mut records = Vec::new();
        for ((counts, ms), facts) in [&base, &odd].into_iter().zip(samples).zip(facts) {
            records.extend([0, 1].map(|layer| Record {
                problem: latency.problem_at(layer, counts),
                samples: vec![ms; 5],
                facts: facts.clone(),
            }));
        }
        let device = Priced::new();
        let mut prober = Prober::new(&device, None);
        prober.add_records(records);
        let timed = [&base, &odd].map(|counts| LayersAt {
            layers: latency.all(),
            counts: counts.clone(),
        });
        latency.require(&mut prober, &timed, &|_, _| {}).unwrap();
        Self { latency, base, odd }
    }
}

/// What is known of a layer that launches so many kernels.
fn launching(kernels: usize) -> RecordFacts {
    let kernel = Kernel {
        name: "k".to_owned(),
        grid: [1; 3],
        block: [32, 1, 1],
        registers: 0,
        shared_bytes: 0,
        ns: 1000,
    };
    RecordFacts {
        kernels: vec![kernel; kernels],
        ..RecordFacts::default()
    }
}

/// What two layers took in a model on a device.
fn layers_of_one_ms() -> InModel {
    InModel {
        layers: vec![Some(1.0); 2],
        clock: NodeClock::Device,
        ..InModel::default()
    }
}

/// A device that needs as long for every layer, with more kernels at some widths.
#[test]
fn gaps_between_kernels_count_by_kernel() {
    let mut two = Two::new([1.0, 1.0], [launching(1), launching(3)]);
    let seen = layers_of_one_ms();
    // Two kernels of 1 ms, and 0.5 ms between each and the next.
    two.latency.correct(&seen, &two.base, 3.0);
    assert!((two.latency.predict(&two.base).unwrap() - 3.0).abs() < 1e-9);
    assert!((two.latency.predict(&two.odd).unwrap() - 5.0).abs() < 1e-9);
    let all = two.latency.all();
    assert!((two.latency.of(&all, &two.odd).unwrap().ms - 5.0).abs() < 1e-9);
    assert_eq!(two.latency.idle_ms(), Some(1.0));
}

/// A device that fills memory before its kernel at some widths.
#[test]
fn fills_count_as_kernels_and_for_more_in_a_captured_graph() {
    let filling = |fills| RecordFacts { fills, ..launching(1) };
    for (captured, odd) in [(false, 4.0), (true, 8.0)] {
        let mut two = Two::of([1.0, 1.0], [filling(0), filling(1)], captured);
        let seen = layers_of_one_ms();
        // Two kernels of 1 ms, and 0.5 ms behind each.
        two.latency.correct(&seen, &two.base, 3.0);
        assert!((two.latency.predict(&two.base).unwrap() - 3.0).abs() < 1e-9);
        assert!(
            (two.latency.predict(&two.odd).unwrap() - odd).abs() < 1e-9,
            "{captured}"
        );
    }
}

/// A kernel takes no less than the shortest one, however few elements are left for it.
#[test]
fn what_nodes_take_beyond_the_shortest_kernel_goes_with_their_elements() {
    let mut two = Two::new([1.0, 1.0], [RecordFacts::default(), RecordFacts::default()]);
    let relu = |node, ms| NodeMs { node, ms, fixed: 0.0 };
    let seen = InModel {
        layers: vec![Some(1.0); 2],
        fixed: 0.0,
        overhead: 0.006,
        nodes: vec![relu(1, 0.005), relu(3, 0.001)],
        clock: NodeClock::Device,
    };
    two.latency.correct(&seen, &two.base, 2.006);
    assert!((two.latency.predict(&two.base).unwrap() - 2.006).abs() < 1e-9);
    let expected = 2.006 - 0.004 / 24.0;
    assert!((two.latency.predict(&two.odd).unwrap() - expected).abs() < 1e-9);
}

/// Kernels that a GPU holds all at once take as long with other widths.
#[test]
fn what_is_fixed_of_nodes_does_not_go_with_their_elements() {
    let mut two = Two::new([1.0, 1.0], [RecordFacts::default(), RecordFacts::default()]);
    let relu = |node, ms, fixed| NodeMs { node, ms, fixed };
    let seen = InModel {
        layers: vec![Some(1.0); 2],
        overhead: 0.008,
        nodes: vec![relu(1, 0.005, 0.003), relu(3, 0.001, 0.0)],
        fixed: 0.0,
        clock: NodeClock::Device,
    };
    two.latency.correct(&seen, &two.base, 2.008);
    let expected = 2.008 - 0.002 / 24.0;
    assert!((two.latency.predict(&two.odd).unwrap() - expected).abs() < 1e-9);
    assert!((two.latency.nodes_ms(&BTreeSet::from([1])) - 0.005).abs() < 1e-9);
}

/// A machine that was half as fast while the second widths were timed, and so was the reference chain beside them.
#[test]
fn times_of_slow_minutes_count_as_if_the_machine_had_been_as_fast_as_at_first() {
    let beside = |reference_ms| RecordFacts {
        reference_ms,
        ..RecordFacts::default()
    };
    let predicted = |facts| {
        let two = Two::new([2.0, 3.0], facts);
        [&two.base, &two.odd].map(|counts| two.latency.of(&two.latency.all(), counts).unwrap().ms)
    };
    assert_eq!(predicted([beside(Some(0.5)), beside(Some(1.0))]), [4.0, 3.0]);
    // Without a reference times are as they were taken.
    assert_eq!(predicted([beside(None), beside(Some(1.0))]), [4.0, 6.0]);
}

/// A provider that compiles whole graphs: layers of 2 and 2 ms, timed when the machine was twice as fast as for the whole model.
#[test]
fn a_whole_model_is_predicted_at_the_pace_that_it_was_timed_at() {
    for (whole_ms, call_ms) in [(10.0, 0.0), (10.0, 1.0), (6.0, 1.0)] {
        let mut two = Two::new([2.0, 1.0], [RecordFacts::default(), RecordFacts::default()]);
        two.latency.compiled(whole_ms, call_ms, 2.0, &two.base);
        let [present, narrower] = [&two.base, &two.odd].map(|counts| two.latency.predict(counts).unwrap());
        assert!((present - whole_ms).abs() < 1e-9, "{present}");
        // Half of the layers' time goes; what else there is stays as good as it is.
        let layers = whole_ms.min(8.0);
        assert!((narrower - (whole_ms - layers / 2.0)).abs() < 0.1, "{narrower}");
    }
}
