//! The main job with gradient steps behind the fit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use common::net::{Net, value_info};
use common::priced::{Priced, Silent, known_prices};
use common::{cpu, runtime};
use ndarray::Array4;
use snapprune::data::{Dataset, Scaling};
use snapprune::device::{Limit, ShapeOptions, Stop, input_specs};
use snapprune::distill::{Distilled, Schedule, Teaching, distill};
use snapprune::onnx::proto::{ModelProto, tensor_shape_proto::dimension::Value as Dim, type_proto::Value as Kind};
use snapprune::onnx::{Attributes, Graph, Tensor, encode};
use snapprune::optimize::{Amount, Calibration, Goals, Options, SampleSource, WhenSlower, Workload, open, optimize};
use snapprune::plan::Metric;
use snapprune::report::outcome_json;
use snapprune::score::{LossSpec, Objective, Reference, StagedExecutor, Watch};

/// A classifier of 4×12×12 images with a residual block, and an open batch.
pub(super) fn classifier() -> ModelProto {
    let mut net = Net::new(17, 8);
    net.input("x", &[1, 4, 12, 12]);
    let y = net.conv("x", 4, 16, 3, 1);
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
    let mut input = value_info("x", &[1, 4, 12, 12]);
    if let Some(Kind::TensorType(tensor)) = input.r#type.as_mut().and_then(|t| t.value.as_mut()) {
        tensor.shape.as_mut().unwrap().dim[0].value = Some(Dim::DimParam("n".to_owned()));
    }
    net.graph.input = vec![input];
    net.model()
}

fn write(path: &Path, count: usize) {
    let mut random = fastrand::Rng::with_seed(5);
    let mut npz = ndarray_npy::NpzWriter::new(std::fs::File::create(path).unwrap());
    let values = Array4::from_shape_simple_fn((count, 4, 12, 12), || random.f32() * 2.0 - 1.0);
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
fn the_job_makes_the_steps_and_tells_them() {
    let told = calibration(&classifier(), 40).distillation.unwrap();
    assert_eq!((told.steps, told.tensors, told.out_of_reach), (40, 8, 0));
    assert_eq!(told.taken, told.loss_after < told.loss_before, "{told:?}");
    assert!(told.text().starts_with("40 steps"), "{}", told.text());
}

/// What so many steps give, and what the model loses before and after on samples that neither made nor chose anything.
pub(super) fn taught(teacher: &ModelProto, student: &ModelProto, steps: usize) -> (Distilled, [f64; 2]) {
    let watch = Watch {
        limit: &Limit::default(),
        progress: &|_, _| {},
    };
    taught_within(teacher, student, steps, watch)
}

/// The same within a limit.
fn taught_within(teacher: &ModelProto, student: &ModelProto, steps: usize, watch: Watch) -> (Distilled, [f64; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.npz");
    write(&path, 320);
    let graph = Graph::of(teacher).unwrap();
    let specs = input_specs(&graph, &ShapeOptions::default()).unwrap();
    let data = Dataset::read(&path, &specs, Scaling::default()).unwrap();
    let device = cpu();
    let loss = |model: &ModelProto, runs: Range<usize>| -> snapprune::Result<(f64, Vec<Objective>)> {
        let executor = StagedExecutor::new(&device, &data, runs)?;
        let reference = Reference::of(&executor, teacher, &graph, &LossSpec::default())?;
        let judged = reference.judge(&executor, model, &Graph::of(model)?, 0)?;
        Ok((judged.loss(), reference.objectives()))
    };
    let all = data.runs();
    let objectives = loss(student, all - 2..all - 1).unwrap().1;
    let teaching = Teaching {
        teacher,
        objectives: &objectives,
        data: &data,
        runs: &(0..all - 2),
        unseen: &(all - 2..all - 1),
        most: 64,
    };
    let schedule = Schedule {
        steps,
        at_most: Duration::MAX,
        seed: 1,
    };
    let judge = |model: &ModelProto| Ok(loss(model, all - 2..all - 1)?.0);
    let found = distill(&device, student, teaching, schedule, &judge, watch).unwrap();
    let trained = found.model.as_ref().expect("some weights did better");
    let losses = [student, trained].map(|model| loss(model, all - 1..all).unwrap().0);
    (found, losses)
}

/// The same with weights that are a tenth off.
fn off(teacher: &ModelProto) -> ModelProto {
    let mut student = teacher.clone();
    let mut random = fastrand::Rng::with_seed(2);
    for proto in &mut student.graph.as_mut().unwrap().initializer {
        let tensor = Tensor::read(proto).unwrap();
        let values = tensor.to_f32().unwrap();
        let off: Vec<f32> = values.iter().map(|v| v * (0.8 + 0.4 * random.f32())).collect();
        Tensor::from_f32(tensor.dims, &off).store(proto);
    }
    student
}

/// Where time ends while rates are tried, the weights that were reached are judged like any others.
#[test]
fn steps_of_a_rate_that_time_cuts_off_count() {
    let teacher = classifier();
    let limit = Limit::new(Stop::default(), Some(Instant::now() + Duration::from_secs(8)));
    // 96 steps are tried for six with each rate.
    let progress = |made: usize, _: usize| {
        if made == 8 {
            std::thread::sleep(limit.at_most(Duration::from_secs(8)));
        }
    };
    let watch = Watch {
        limit: &limit,
        progress: &progress,
    };
    let (found, _) = taught_within(&teacher, &off(&teacher), 96, watch);
    assert!(found.steps > 0 && found.steps <= 9, "{}", found.steps);
    assert_eq!(found.judged.last().unwrap().step, found.steps, "{:?}", found.judged);
}

/// Weights that are a tenth off come nearer to what the original does, on samples that no step was made on.
#[test]
fn gradient_steps_lose_less_on_samples_that_they_never_saw() {
    let teacher = classifier();
    let student = off(&teacher);
    let (found, [before, after]) = taught(&teacher, &student, 120);
    assert_eq!((found.steps, found.tensors), (120, [8, 0]));
    assert!(after < 0.3 * before, "{before} before, {after} after");
    let [before, after] = found.losses.unwrap();
    assert!(after.loss < 0.3 * before.loss, "{before:?} {after:?}");
}

/// What no gradient passes is told, and nothing changes.
#[test]
fn a_model_that_no_gradient_reaches_is_passed_over() {
    let mut model = classifier();
    let graph = model.graph.as_mut().unwrap();
    let made = graph.output[0].name.replace("rounded".to_owned());
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
