//! Samples, models and goals that are refused, and in which words.

use super::{Bent, job, macs, narrowed, noise, opened, read, with_open, written};
use crate::common::command::{fails, model};
use crate::common::net::Net;
use crate::common::priced::Silent;
use crate::common::{cpu, runtime};
use ndarray::{Array1, ArrayD, IxDyn};
use ndarray_npy::NpzWriter;
use snapprune::Error;
use snapprune::data::{Dataset, Scaling};
use snapprune::device::ShapeOptions;
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Tensor, encode};
use snapprune::optimize::{Known, Options, SampleSource, Workload, open, optimize};

#[test]
fn a_model_whose_outputs_are_no_numbers_is_not_written() {
    let broken = |original: &ModelProto| Bent {
        broken: true,
        ..Bent::new(original)
    };
    let (_, outcome) = job("shapes96_misaligned.onnx", &broken, &macs(0.7));
    let why = outcome.declined.unwrap().to_string();
    assert!(outcome.model.is_none() && why.contains("NaN"), "{why}");
    let (_, outcome) = job("shapes96_misaligned.onnx", &broken, &Options::default());
    assert!(outcome.model.is_none(), "{:?}", outcome.declined);
}

#[test]
fn a_sample_with_nan_ends_a_job_with_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let mut x = noise(&[10, 3, 96, 96], 4);
    x[[7, 1, 2, 3]] = f32::NAN;
    let path = folder.path().join("bad.npz");
    let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
    npz.add_array("image", &x).unwrap();
    npz.finish().unwrap();
    let (net, bad) = (model("shapes96.onnx"), path.display().to_string());
    let net = net.to_str().unwrap();
    for flags in [["--calib", &bad], ["--eval", &bad]] {
        let said = fails(&[&[net, "--target-macs", "0.6x", "--cpu"], &flags[..]].concat(), 2);
        for part in ["bad.npz", "'image'", "sample 7", "NaN", "[7, 1, 2, 3]"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn an_original_that_is_nan_on_samples_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[1, 8, 6, 6]);
    let y = net.conv(&x, 8, 24, 3, 1);
    let y = net.node("Sqrt", &[&y], |_| {});
    let y = net.conv(&y, 24, 4, 3, 1);
    net.output(&y);
    let opened = opened(folder.path(), &with_open(net.model(), 0, "N"));
    let path = written(folder.path(), "x.npz", &noise(&[40, 8, 6, 6], 3));
    let options = Options {
        calib: Some(SampleSource::new(path, Scaling::default())),
        ..macs(0.6)
    };
    let found = narrowed(opened, &options);
    let Err(Error::Usage(said)) = found.map(|_| ()) else {
        panic!("not told")
    };
    assert!(
        said.contains("x.npz") && said.contains("gives NaN in output") && said.contains("for sample 0"),
        "{said}"
    );
}

#[test]
fn one_number_for_a_run_of_several_samples_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 1);
    let x = net.input("x", &[4, 3]);
    let scale = net.input("scale", &[]);
    let y = net.node("Mul", &[&x, &scale], |_| {});
    net.output(&y);
    let opened = opened(folder.path(), &net.model());
    let path = folder.path().join("x.npz");
    let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
    npz.add_array("x", &noise(&[8, 3], 1)).unwrap();
    npz.add_array("scale", &Array1::from_elem(8, 2.0f32)).unwrap();
    npz.finish().unwrap();
    let said = Dataset::read(&path, &opened.specs, Scaling::default())
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("'scale'") && said.contains("4 samples at a time"),
        "{said}"
    );
    let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
    npz.add_array("x", &noise(&[8, 3], 1)).unwrap();
    npz.add_array("scale", &ndarray::arr0(2.0f32)).unwrap();
    npz.finish().unwrap();
    let data = read(&path, &opened);
    assert_eq!((data.runs(), data.run(1).inputs[1].1.dims.len()), (2, 0));
}

#[test]
fn outputs_that_are_selections_are_judged_as_sets() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 4);
    let x = net.input("x", &[1, 3, 8, 8]);
    let y = net.conv(&x, 3, 24, 3, 1);
    let y = net.node("Relu", &[&y], |_| {});
    let y = net.conv(&y, 24, 16, 3, 1);
    let zero = net.constant(&Tensor::from_f32(vec![], &[0.0]));
    let y = net.node("Greater", &[&y, &zero], |_| {});
    let y = net.node("NonZero", &[&y], |_| {});
    net.output(&y);
    let opened = opened(folder.path(), &net.model());
    let path = written(folder.path(), "x.npz", &noise(&[24, 3, 8, 8], 3));
    let options = Options {
        calib: Some(SampleSource::new(path, Scaling::default())),
        ..macs(0.7)
    };
    let outcome = narrowed(opened, &options).unwrap();
    // Such a model narrows like others: what its plans lose is a number.
    let told = (&outcome.declined, &outcome.curve);
    assert!(outcome.curve.iter().all(|row| row.loss.is_finite()), "{told:?}");
    assert!(outcome.curve.iter().any(|row| row.loss > 0.0), "{told:?}");
}

#[test]
fn a_plan_that_makes_outputs_that_are_no_numbers_is_not_applied() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 1);
    let x = net.input("x", &[1, 1, 4, 4]);
    let y = net.node("Abs", &[&x], |_| {});
    let w = net.constant(&Tensor::from_f32(vec![8, 1, 1, 1], &[1.0; 8]));
    let y = net.node("Conv", &[&y, &w], |_| {});
    let y = net.node("Relu", &[&y], |_| {});
    // What the last channels add keeps the sum above zero.
    let mut weights = [-1.0f32; 8];
    weights[4..].fill(10.0);
    let w = net.constant(&Tensor::from_f32(vec![1, 8, 1, 1], &weights));
    let y = net.node("Conv", &[&y, &w], |_| {});
    let y = net.node("Sqrt", &[&y], |_| {});
    net.output(&y);
    let file = folder.path().join("m.onnx");
    std::fs::write(&file, encode(&net.model())).unwrap();
    let opened = open(&file, &runtime(), &ShapeOptions::default()).unwrap();
    let group = opened
        .analysis
        .groups
        .iter()
        .find(|g| g.constraint.is_none() && g.classes.len() == 8)
        .unwrap();
    let nodes = &opened.proto.graph.as_ref().unwrap().node;
    let layers: Vec<String> = group
        .producers
        .iter()
        .map(|&n| snapprune::onnx::label(&nodes[n], n))
        .collect();
    let plan = serde_json::json!({
        "schema_version": 1, "model": opened.model.hash, "weights": {},
        "groups": [{"group": group.id, "layers": layers, "width_before": 8, "width_after": 4, "kept": [0, 1, 2, 3]}],
    });
    let (path, out) = (folder.path().join("plan.json"), folder.path().join("out.onnx"));
    std::fs::write(&path, plan.to_string()).unwrap();
    let said = fails(
        &[
            "apply",
            file.to_str().unwrap(),
            path.to_str().unwrap(),
            "-o",
            out.to_str().unwrap(),
        ],
        2,
    );
    assert!(said.contains("NaN or infinite") && !out.exists(), "{said}");
}

#[test]
fn one_sample_for_which_the_model_gives_nan_is_named_wherever_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[1, 4, 6, 6]);
    let y = net.conv(&x, 4, 24, 3, 1);
    let twenty = net.constant(&Tensor::from_f32(vec![], &[20.0]));
    let y = net.node("Add", &[&y, &twenty], |_| {});
    let y = net.node("Log", &[&y], |_| {});
    let y = net.conv(&y, 24, 4, 3, 1);
    net.output(&y);
    let model = with_open(net.model(), 0, "N");
    let opened = opened(folder.path(), &model);
    let device = Bent::new(&opened.proto);
    let workloads = [Workload { opened, weight: 1.0 }];
    for at in [0, 5, 60, 95] {
        let mut x = noise(&[97, 4, 6, 6], 3);
        x.slice_mut(ndarray::s![at, .., .., ..]).fill(-500.0);
        let path = written(folder.path(), "bad.npz", &x);
        let options = Options {
            calib: Some(SampleSource::new(path, Scaling::default())),
            ..macs(0.6)
        };
        let said = optimize(&workloads, &device, Known::default(), &options, &Silent)
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("bad.npz") && said.contains(&format!("for sample {at};")),
            "{at}: {said}"
        );
    }
}

#[test]
fn samples_that_tell_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "same.npz", &ArrayD::zeros(IxDyn(&[20, 3, 8, 8])));
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[1, 3, 8, 8]);
    let y = net.conv(&x, 3, 24, 3, 1);
    let y = net.conv(&y, 24, 4, 3, 1);
    net.output(&y);
    let opened = opened(folder.path(), &with_open(net.model(), 0, "N"));
    let options = Options {
        calib: Some(SampleSource::new(path, Scaling::default())),
        ..macs(0.6)
    };
    let said = narrowed(opened, &options).map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("the same for all of its samples"), "{said}");
}

#[test]
fn labels_that_are_no_classes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (net, path) = (model("shapes96.onnx"), folder.path().join("eval.npz"));
    let opened = open(&net, &runtime(), &ShapeOptions::default()).unwrap();
    for (label, sample) in [(99i64, 3), (-1, 7)] {
        let mut labels = Array1::from_elem(10, 0i64);
        labels[sample] = label;
        let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
        npz.add_array("image", &noise(&[10, 3, 96, 96], 1)).unwrap();
        npz.add_array("labels", &labels).unwrap();
        npz.finish().unwrap();
        let bytes = std::fs::read(&net).unwrap();
        let found = snapprune::verify::classes(&cpu(), &bytes, &read(&path, &opened), &|_, _| {});
        let said = found.map(|_| ()).unwrap_err().to_string();
        assert!(said.contains(&format!("sample {sample} is {label}")), "{said}");
    }
}
