//! The main job with gradient steps behind the fit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::Path;

use common::net::{Net, value_info};
use common::priced::{Priced, Silent, known_prices};
use common::runtime;
use ndarray::Array4;
use snapprune::data::Scaling;
use snapprune::device::ShapeOptions;
use snapprune::onnx::proto::{ModelProto, tensor_shape_proto::dimension::Value as Dim, type_proto::Value as Kind};
use snapprune::onnx::{Attributes, encode};
use snapprune::optimize::{Amount, Calibration, Goals, Options, SampleSource, WhenSlower, Workload, open, optimize};
use snapprune::plan::Metric;
use snapprune::report::outcome_json;

/// A classifier of 3×12×12 images with a residual block, and an open batch.
fn classifier() -> ModelProto {
    let mut net = Net::new(17, 8);
    net.input("x", &[1, 3, 12, 12]);
    let y = net.conv("x", 3, 16, 3, 1);
    let y = net.node("Relu", &[&y], |_| {});
    let z = net.conv(&y, 16, 24, 3, 1);
    let z = net.node("Relu", &[&z], |_| {});
    let z = net.conv(&z, 24, 16, 3, 1);
    let y = net.node("Add", &[&y, &z], |_| {});
    let y = net.node("Relu", &[&y], |_| {});
    let y = net.node("GlobalAveragePool", &[&y], |_| {});
    let y = net.node("Flatten", &[&y], |_| {});
    let (w, b) = (net.floats(&[6, 16], -3.0, 3.0), net.floats(&[6], -0.3, 0.3));
    let y = net.node("Gemm", &[&y, &w, &b], |n| n.set_int("transB", 1));
    net.output(&y);
    let mut input = value_info("x", &[1, 3, 12, 12]);
    if let Some(Kind::TensorType(tensor)) = input.r#type.as_mut().and_then(|t| t.value.as_mut()) {
        tensor.shape.as_mut().unwrap().dim[0].value = Some(Dim::DimParam("n".to_owned()));
    }
    net.graph.input = vec![input];
    net.model()
}

fn write(path: &Path, count: usize) {
    let mut random = fastrand::Rng::with_seed(5);
    let mut npz = ndarray_npy::NpzWriter::new(std::fs::File::create(path).unwrap());
    let values = Array4::from_shape_simple_fn((count, 3, 12, 12), || random.f32() * 2.0 - 1.0);
    npz.add_array("x", &values).unwrap();
    npz.finish().unwrap();
}

/// What the job says of its samples, for so many steps.
fn calibration(model: &ModelProto, steps: usize) -> Calibration {
    let folder = tempfile::tempdir().unwrap();
    let (file, path) = (folder.path().join("net.onnx"), folder.path().join("samples.npz"));
    std::fs::write(&file, encode(model)).unwrap();
    write(&path, 320);
    let options = Options {
        goals: Goals::default().at_most(Metric::Macs, Amount::Times(0.5)),
        when_slower: WhenSlower::Write,
        min_width: 1,
        calib: Some(SampleSource::new(path, Scaling::default())),
        distill: steps,
        ..Options::default()
    };
    let opened = open(&file, &runtime(), &ShapeOptions::default()).unwrap();
    let workloads = [Workload { opened, weight: 1.0 }];
    let outcome = optimize(&workloads, &Priced::new(), known_prices(), &options, &Silent).unwrap();
    let report = outcome_json("net.onnx", &workloads, &outcome);
    let told = &report["calibration"]["distillation"];
    assert_eq!(told.is_null(), steps == 0, "{report}");
    outcome.calibration.unwrap()
}

#[test]
fn gradient_steps_lose_less_on_samples_that_they_never_saw() {
    let model = classifier();
    let (plain, trained) = (calibration(&model, 0), calibration(&model, 80));
    let told = trained.distillation.clone().unwrap();
    assert!(told.taken && told.loss_after < told.loss_before, "{told:?}");
    assert_eq!((told.tensors, told.out_of_reach), (8, 0));
    let (before, after) = (plain.held_out_loss.unwrap(), trained.held_out_loss.unwrap());
    assert!(after < 0.95 * before, "{before} without, {after} with gradient steps");
}

/// What no gradient passes is told, and nothing changes.
#[test]
fn a_model_that_no_gradient_reaches_is_passed_over() {
    let mut model = classifier();
    let graph = model.graph.as_mut().unwrap();
    let made = std::mem::replace(&mut graph.output[0].name, Some("rounded".to_owned()));
    let mut round = graph.node[0].clone();
    round.op_type = Some("Round".to_owned());
    round.name = Some("round".to_owned());
    round.input = made.into_iter().collect();
    round.output = vec!["rounded".to_owned()];
    round.attribute.clear();
    graph.node.push(round);
    let told = calibration(&model, 20).distillation.unwrap();
    assert_eq!((told.tensors, told.steps, told.taken), (0, 0, false));
    assert_eq!(told.stopped_by, ["Round"]);
    assert!(told.text().contains("Round"), "{}", told.text());
}
