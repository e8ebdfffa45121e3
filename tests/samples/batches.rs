//! Models that mix samples, or take one at a time, and limits that count for one sample.

use super::{Bent, macs, noise, opened, read, with_open, written};
use snapprune::onnx::Attributes;
use std::path::Path;

use crate::common::command::{model, snapprune};
use crate::common::net::Net;
use crate::common::priced::Silent;
use crate::common::{cpu, runtime};
use ndarray::{Array1, ArrayD, IxDyn};
use ndarray_npy::NpzWriter;
use snapprune::device::ShapeOptions;
use snapprune::onnx::{Tensor, encode};
use snapprune::optimize::{Amount, Goals, Known, Options, WhenSlower, Workload, open, optimize};
use snapprune::plan::Metric;
use snapprune::report::outcome_json;

#[test]
fn samples_that_a_model_mixes_or_takes_one_by_one_are_run_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = written(folder.path(), "noise.npz", &noise(&[20, 6], 2));
    let batch = |make: &dyn Fn(&mut Net, &str) -> String| {
        let mut net = Net::new(17, 1);
        let x = net.input("x", &[1, 6]);
        let y = make(&mut net, &x);
        let w = net.floats(&[6, 3], -1.0, 1.0);
        let y = net.node("MatMul", &[&y, &w], |_| {});
        net.output(&y);
        let opened = opened(folder.path(), &with_open(net.model(), 0, "batch"));
        let data = read(&data, &opened);
        assert_eq!(data.batch(), 4);
        let settled = data.settled(&cpu(), &encode(&opened.proto)).unwrap();
        (settled.batch(), settled.notes().join(" "))
    };
    let plain = batch(&|net, x| net.node("Relu", &[x], |_| {}));
    assert_eq!(plain, (4, String::new()));
    // Centred over the batch.
    let (mixed, note) = batch(&|net, x| {
        let zero = net.ints(&[0]);
        let mean = net.node("ReduceMean", &[x], |n| n.set_ints("axes", vec![0]));
        let _ = zero;
        net.node("Sub", &[x, &mean], |_| {})
    });
    assert!(mixed == 1 && note.contains("mixes the samples"), "{mixed} {note}");
    // A shape inside that holds one sample.
    let (fixed, note) = batch(&|net, x| {
        let shape = net.ints(&[1, 6]);
        net.node("Reshape", &[x, &shape], |_| {})
    });
    assert!(fixed == 1 && note.contains("one sample at a time"), "{fixed} {note}");
}

#[test]
fn bench_runs_samples_alone_for_the_models_that_mix_them_only_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.npz");
    let mut npz = NpzWriter::new(std::fs::File::create(&data).unwrap());
    npz.add_array("x", &noise(&[20, 6], 2)).unwrap();
    // Of what is centred over itself alone nothing is left: the first class.
    npz.add_array("labels", &Array1::from_elem(20, 0i64)).unwrap();
    npz.finish().unwrap();
    let file = |name: &str, mixes: bool| {
        let mut net = Net::new(17, 1);
        let x = net.input("x", &[1, 6]);
        let y = match mixes {
            true => {
                let mean = net.node("ReduceMean", &[&x], |n| n.set_ints("axes", vec![0]));
                net.node("Sub", &[&x, &mean], |_| {})
            }
            false => net.node("Relu", &[&x], |_| {}),
        };
        let w = net.floats(&[6, 3], -1.0, 1.0);
        let y = net.node("MatMul", &[&y, &w], |_| {});
        net.output(&y);
        let path = folder.path().join(name);
        std::fs::write(&path, encode(&with_open(net.model(), 0, "batch"))).unwrap();
        path
    };
    let mut command = snapprune();
    command
        .arg("bench")
        .arg(file("plain.onnx", false))
        .arg(file("mixing.onnx", true));
    command.arg("--eval").arg(&data);
    let done = command
        .args(["--cpu", "--threads", "1", "--seconds", "0.05", "--json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{said}");
    assert!(said.contains("mixing.onnx: the model leaves its batch open"), "{said}");
    assert!(!said.contains("plain.onnx"), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["models"][1]["top1"], 1.0, "{report:#}");
}

#[test]
fn a_difference_in_the_last_sample_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, more: bool, batch: Option<usize>| {
        let mut net = Net::new(17, 1);
        let x = net.input("x", &[batch.unwrap_or(1), 4]);
        let w = net.constant(&Tensor::from_f32(vec![4], &[1.0; 4]));
        let mut y = net.node("Mul", &[&x, &w], |_| {});
        if more {
            let limit = net.constant(&Tensor::from_f32(vec![], &[1000.0]));
            let beyond = net.node("Sub", &[&y, &limit], |_| {});
            let beyond = net.node("Relu", &[&beyond], |_| {});
            y = net.node("Add", &[&y, &beyond], |_| {});
        }
        net.output(&y);
        let model = match batch {
            Some(_) => net.model(),
            None => with_open(net.model(), 0, "N"),
        };
        let path = folder.path().join(name);
        std::fs::write(&path, encode(&model)).unwrap();
        path
    };
    for batch in [None, Some(1), Some(4)] {
        let (a, b) = (file("a.onnx", false, batch), file("b.onnx", true, batch));
        for count in [7, 11, 33, 64, 128] {
            let mut x = ArrayD::<f32>::zeros(IxDyn(&[count, 4]));
            x.slice_mut(ndarray::s![count - 1, ..]).fill(2000.0);
            let data = written(folder.path(), "x.npz", &x);
            let verify = |b: &Path| {
                let mut command = snapprune();
                command.arg("verify").arg(&a).arg(b).arg("--eval").arg(&data);
                command.args(["--cpu", "--json"]).output().unwrap()
            };
            assert_eq!(verify(&a).status.code(), Some(0));
            let found = verify(&b);
            assert_eq!(found.status.code(), Some(1), "{batch:?} {count}");
            let report: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
            assert_eq!(report["outputs"][0]["different"], 4);
        }
    }
}

#[test]
fn a_limit_on_multiply_accumulates_is_for_one_sample_at_any_batch() {
    let at = |batch: usize| {
        let shapes = ShapeOptions {
            batch: Some(batch),
            ..ShapeOptions::default()
        };
        let opened = open(&model("shapes96.onnx"), &runtime(), &shapes).unwrap();
        let whole = opened.analysis.total_macs();
        let options = Options {
            goals: Goals::default().at_most(Metric::Macs, Amount::Plain(0.8 * whole as f64)),
            calib: None,
            when_slower: WhenSlower::Write,
            ..macs(1.0)
        };
        let device = Bent::new(&opened.proto);
        let workloads = [Workload { opened, weight: 1.0 }];
        let outcome = optimize(&workloads, &device, Known::default(), &options, &Silent).unwrap();
        assert!(outcome.model.is_some(), "{:?}", outcome.declined);
        let report = outcome_json("model", &workloads, &outcome);
        assert_eq!(
            (&report["macs"]["before"], &report["macs"]["per"]),
            (&whole.into(), &"sample".into())
        );
        assert!(
            outcome.counted[Metric::Macs].after as f64 <= 0.8 * whole as f64
                && outcome.counted[Metric::Macs].after as f64 > 0.7 * whole as f64
        );
        whole
    };
    assert_eq!(at(1), at(8));
}

#[test]
fn a_model_that_takes_no_single_sample_is_run_as_it_was_opened() {
    let folder = tempfile::tempdir().unwrap();
    // Pairs of samples become one row.
    let mut net = Net::new(17, 1);
    let x = net.input("x", &[2, 6]);
    let shape = net.ints(&[-1, 12]);
    let y = net.node("Reshape", &[&x, &shape], |_| {});
    let w = net.floats(&[12, 3], -1.0, 1.0);
    let y = net.node("MatMul", &[&y, &w], |_| {});
    net.output(&y);
    let file = folder.path().join("pairs.onnx");
    std::fs::write(&file, encode(&with_open(net.model(), 0, "N"))).unwrap();
    let shapes = ShapeOptions {
        batch: Some(2),
        ..ShapeOptions::default()
    };
    let opened = open(&file, &runtime(), &shapes).unwrap();
    let path = written(folder.path(), "x.npz", &noise(&[21, 6], 2));
    let data = read(&path, &opened).settled(&cpu(), &encode(&opened.proto)).unwrap();
    assert_eq!((data.batch(), data.runs(), data.distinct_runs()), (2, 11, 10));
    assert_eq!((data.run(10).samples, data.run(10).repeated), (2, 1));
    assert!(data.notes()[0].contains("2 are run at a time"), "{:?}", data.notes());
}

#[test]
fn verify_takes_models_that_run_one_sample_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 1);
    let x = net.input("x", &[1, 6]);
    let shape = net.ints(&[1, 6]);
    let y = net.node("Reshape", &[&x, &shape], |_| {});
    net.output(&y);
    let file = folder.path().join("one.onnx");
    std::fs::write(&file, encode(&with_open(net.model(), 0, "N"))).unwrap();
    let data = written(folder.path(), "x.npz", &noise(&[13, 6], 2));
    let mut command = snapprune();
    command.arg("verify").arg(&file).arg(&file).arg("--eval").arg(&data);
    let done = command.args(["--cpu", "--json"]).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["outputs"][0]["elements"], 78);
}
