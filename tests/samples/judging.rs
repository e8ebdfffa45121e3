//! What samples decide: fits, losses, gates, and what is written because of them.

use super::{Bent, job, macs, narrowed, noise, opened, read, scaling, with_open, written};
use snapprune::onnx::Attributes;
use std::ops::Range;
use std::path::Path;

use crate::common::command::model;
use crate::common::cpu;
use crate::common::net::Net;
use crate::common::priced::{Silent, roomy};
use snapprune::channels::{ChannelChange, IndexRemaps};
use snapprune::data::{Dataset, Scaling};
use snapprune::device::Limit;
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Graph, encode};
use snapprune::optimize::{Amount, Fitting, Goals, Opened, Options, SampleSource, Samples, WhenSlower, fitted};
use snapprune::plan::Metric;
use snapprune::reconstruct::Change;
use snapprune::report::{Listed, outcome_json, outcome_text};
use snapprune::rewrite::rewrite;
use snapprune::score::{LossSpec, Reference, Rest, StagedExecutor};

/// A small reader of lines: convolutions over N×12×16, then steps of time as rows of products, before or behind the batch.
fn reader(batch: usize, time_major: bool) -> ModelProto {
    let mut net = Net::new(17, 5);
    let x = net.input("x", &[batch, 12, 16]);
    let one = net.ints(&[1]);
    let image = net.node("Unsqueeze", &[&x, &one], |_| {});
    let (w, b) = (net.weights(&[12, 1, 5, 5]), net.floats(&[12], -0.2, 0.2));
    let y = net.node("Conv", &[&image, &w, &b], |n| n.set_ints("pads", vec![0, 2, 0, 2]));
    let y = net.node("Relu", &[&y], |_| {});
    let (w, b) = (net.weights(&[16, 12, 8, 3]), net.floats(&[16], -0.2, 0.2));
    let y = net.node("Conv", &[&y, &w, &b], |n| n.set_ints("pads", vec![0, 1, 0, 1]));
    let y = net.node("Relu", &[&y], |_| {});
    let two = net.ints(&[2]);
    let y = net.node("Squeeze", &[&y, &two], |_| {});
    let order = if time_major { [2, 0, 1] } else { [0, 2, 1] };
    let y = net.node("Transpose", &[&y], |n| n.set_ints("perm", order.to_vec()));
    let w = net.floats(&[16, 20], -0.4, 0.4);
    let y = net.node("MatMul", &[&y, &w], |_| {});
    let y = net.node("Relu", &[&y], |_| {});
    let w = net.floats(&[20, 4], -0.4, 0.4);
    let y = net.node("MatMul", &[&y, &w], |_| {});
    net.output(&y);
    net.model()
}

/// What is lost on held-out samples when a third of each group's channels go and the rest is fitted, and when it is not.
fn lost(opened: &Opened, data: &Path) -> (f64, f64) {
    let graph = opened.graph().unwrap();
    let analysis = &opened.analysis;
    let mut change = ChannelChange::default();
    let free = analysis
        .groups
        .iter()
        .filter(|g| g.constraint.is_none() && g.classes.len() > 8);
    let mut groups = 0;
    for group in free {
        change.removed.extend(&group.classes[..group.classes.len() / 3]);
        groups += 1;
    }
    assert_eq!(groups, 3);
    let remaps = IndexRemaps::new(&analysis.dependencies, &analysis.groups, &change);
    let pruned = rewrite(&opened.proto, &graph, analysis, &change, &[]).unwrap();
    let parts = Change {
        model: &opened.proto,
        graph: &graph,
        analysis,
        remaps: &remaps,
        branches: &change.branches,
    };
    let device = cpu();
    let data = read(data, opened).settled(&device, &encode(&opened.proto)).unwrap();
    let samples = Samples::new(data);
    let fit = fitted(
        &device,
        parts,
        pruned.clone(),
        &samples,
        Fitting::default(),
        &Silent,
        &Limit::default(),
    )
    .unwrap();
    assert!(fit.notes.is_empty(), "{:?}", fit.notes);
    let executor = StagedExecutor::new(&device, &samples.data, samples.judge.clone()).unwrap();
    let reference = Reference::of(&executor, &opened.proto, &graph, &LossSpec::default()).unwrap();
    let own = Graph::of(&pruned).unwrap();
    let plain = reference.judge(&executor, &pruned, &own, 0).unwrap().loss();
    the_rest_tells_the_same(
        opened,
        &graph,
        (&samples.data, samples.judge.clone()),
        (&executor, &reference),
    );
    // Where the device has a memory of its own, both networks are run at the same time.
    let beside = fitted(
        &roomy(),
        parts,
        pruned.clone(),
        &samples,
        Fitting::default(),
        &Silent,
        &Limit::default(),
    );
    assert!((beside.unwrap().chosen_by.unwrap().loss() / fit.chosen_by.unwrap().loss() - 1.0).abs() < 1e-5);
    // Those that choose and those that tell are all that are held out, in equal parts or the same.
    let (chosen, told) = (fit.chosen_by.unwrap().loss(), fit.held_out().unwrap().loss());
    (0.5 * (chosen + told), plain)
}

/// Wherever the rest of the original begins behind a narrower group, the loss is that of the whole model.
fn the_rest_tells_the_same(
    opened: &Opened,
    graph: &Graph,
    (data, judge): (&Dataset, Range<usize>),
    (executor, reference): (&StagedExecutor, &Reference),
) {
    let mut change = ChannelChange::default();
    let first = opened.analysis.groups.iter().find(|g| g.classes.len() > 8).unwrap();
    change.removed.extend(&first.classes[..first.classes.len() / 3]);
    let pruned = rewrite(&opened.proto, graph, &opened.analysis, &change, &[]).unwrap();
    let own = Graph::of(&pruned).unwrap();
    let whole = reference.judge(executor, &pruned, &own, 0).unwrap().loss();
    let count = graph.proto.node.len();
    let tell = |executor: &StagedExecutor, bytes: u64| {
        let mut rest = Rest::new(&opened.proto, graph, 0..=count, executor, bytes);
        let mut shared = 0;
        for at in (0..=count).rev().chain(0..=count) {
            shared += usize::from(rest.begins_in(at, &own).is_some());
            let judged = reference.judge_beginning(executor, &pruned, &own, 0, (&mut rest, at));
            let loss = judged.unwrap().loss();
            assert!((loss - whole).abs() <= 1e-5 * whole, "{at}: {loss} {whole}");
        }
        assert!(shared > 4 && shared < 2 * count, "{shared} of {count}");
    };
    tell(executor, 1);
    // With a memory of its own a device has the parts between all places loaded, if they fit.
    let roomy = roomy();
    for bytes in [1, u64::MAX] {
        tell(
            &StagedExecutor::new(&roomy, data, judge.clone()).unwrap().staying(1),
            bytes,
        );
    }
}

#[test]
fn a_batch_behind_the_steps_of_time_is_fitted_as_well_as_one_before_them() {
    let folder = tempfile::tempdir().unwrap();
    // 128 samples make runs of 26, and a last one of 24.
    let data = written(folder.path(), "noise.npz", &noise(&[128, 12, 16], 1));
    let of = |model: ModelProto| lost(&opened(folder.path(), &model), &data);
    let (plain, unfitted) = of(with_open(reader(1, false), 0, "N"));
    let (behind, _) = of(with_open(reader(1, true), 0, "N"));
    let (single, _) = of(reader(1, true));
    assert!(plain < 0.7 * unfitted, "{plain} {unfitted}");
    assert!((behind / plain - 1.0).abs() < 0.02, "{behind} {plain}");
    assert!((single / plain - 1.0).abs() < 0.1, "{single} {plain}");
}

#[test]
fn fewer_macs_without_less_time_are_written_only_when_asked_for() {
    let flat = |original: &ModelProto| Bent {
        flat: Some(2.0),
        ..Bent::new(original)
    };
    let (_, refused) = job("shapes96.onnx", &flat, &macs(0.7));
    let why = refused.declined.unwrap().to_string();
    assert!(
        refused.model.is_none() && why.contains("not measured to be faster"),
        "{why}"
    );
    let asked = Options {
        when_slower: WhenSlower::Write,
        ..macs(0.7)
    };
    let (workloads, written) = job("shapes96.onnx", &flat, &asked);
    assert!(written.model.is_some() && written.declined.is_none());
    assert!(written.counted[Metric::Macs].after as f64 <= 0.7 * written.counted[Metric::Macs].before as f64);
    assert!(outcome_text(&written, Listed::Changed).contains("was not measured to be faster"));
    let report = outcome_json("model", &workloads, &written);
    assert!(
        report["notes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|n| n.as_str().unwrap().contains("slower models are allowed"))
    );
    // A goal in latency is not met by a model that is not faster.
    let latency = Options {
        goals: Goals::default().at_most(Metric::Latency, Amount::Times(0.7)),
        when_slower: WhenSlower::Write,
        ..macs(0.7)
    };
    assert!(job("shapes96.onnx", &flat, &latency).1.model.is_none());
}

#[test]
fn what_may_be_dropped_is_told_with_what_the_samples_tell() {
    let options = Options {
        goals: Goals {
            max_drop: Some(0.01),
            ..Goals::default()
        },
        eval: Some(SampleSource::new(model("shapes96_eval.npz"), scaling())),
        ..macs(1.0)
    };
    let (workloads, outcome) = job("shapes96.onnx", &Bent::new, &options);
    let task = outcome.task.as_ref().unwrap();
    assert!(outcome.model.is_some(), "{:?}", outcome.declined);
    assert!(
        task.accuracy_drop() <= 0.01
            && task.drop_interval.low <= task.accuracy_drop()
            && task.drop_interval.high >= task.accuracy_drop()
    );
    let notes = outcome.notes.join("\n");
    assert!(
        notes.contains("95 % confidence") && notes.contains("cannot tell"),
        "{notes}"
    );
    let report = outcome_json("model", &workloads, &outcome);
    assert!(
        report["verify"]["accuracy_drop"]["high"].as_f64().unwrap()
            > report["verify"]["accuracy_drop"]["value"].as_f64().unwrap()
    );
}

#[test]
fn a_loss_that_was_judged_on_what_was_fitted_on_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 6);
    let x = net.input("x", &[16, 3, 8, 8]);
    let mut y = net.conv(&x, 3, 32, 3, 1);
    for _ in 0..3 {
        y = net.node("Relu", &[&y], |_| {});
        y = net.conv(&y, 32, 32, 3, 1);
    }
    net.output(&y);
    let opened = opened(folder.path(), &net.model());
    // One run of sixteen, and three samples that make none.
    let path = written(folder.path(), "x.npz", &noise(&[19, 3, 8, 8], 3));
    let options = Options {
        calib: Some(SampleSource::new(path, Scaling::default())),
        when_slower: WhenSlower::Write,
        ..macs(0.6)
    };
    let outcome = narrowed(opened, &options).unwrap();
    let notes = outcome.notes.join("\n");
    assert!(
        notes.contains("none could be held out"),
        "{notes} {:?}",
        outcome.declined
    );
    assert!(outcome.calibration.unwrap().held_out_loss.is_none());
}
