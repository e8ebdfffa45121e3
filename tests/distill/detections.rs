//! What a detector is taught by: its scores as shares, and boxes where something is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::rules::follows_for;
use crate::common;

use std::ops::Range;
use std::time::Duration;

use common::cpu;
use common::net::Net;
use snapprune::data::Dataset;
use snapprune::device::{Executor, Limit, NamedTensor, ShapeOptions, input_specs};
use snapprune::distill::{Schedule, Teaching, distill, open_batch};
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Attributes, Dtype, Graph, Tensor, encode};
use snapprune::score::{LossSpec, Objective, ObjectiveKind, Reference, StagedExecutor, Watch};
use snapprune::task::{Boxes, DetectLayout, How, LayoutKind, Reading, TaskKind};

/// Scores of one class and corners at 16 places.
fn detector(seed: u64, logits: bool) -> (ModelProto, LossSpec) {
    let mut net = Net::new(17, seed);
    net.input("x", &[1, 3, 8, 8]);
    let y = net.conv("x", 3, 8, 3, 1);
    let y = net.node("Relu", &[&y], |_| {});
    let y = net.node("MaxPool", &[&y], |n| {
        n.set_ints("kernel_shape", vec![3; 2]);
        n.set_ints("strides", vec![2; 2]);
        n.set_ints("pads", vec![1; 4]);
    });
    let head = |net: &mut Net, columns: usize| {
        let y = net.conv(&y, 8, columns, 1, 1);
        let y = net.node("Transpose", &[&y], |n| n.set_ints("perm", vec![0, 2, 3, 1]));
        let shape = net.ints(&[1, 16, columns as i64]);
        net.node("Reshape", &[&y, &shape], |_| {})
    };
    let scores = head(&mut net, 1);
    let scores = match logits {
        true => scores,
        false => net.node("Sigmoid", &[&scores], |_| {}),
    };
    let boxes = head(&mut net, 4);
    net.output(&scores);
    net.output(&boxes);
    let layout = DetectLayout {
        kind: LayoutKind::Pair {
            boxes: Boxes::Corners,
            background: false,
        },
        name: "SSD",
        outputs: vec![scores, boxes],
        classes: 1,
        attributes_first: false,
        logits,
        score: 0.5,
        scale: (1.0, 1.0),
        suppression: Some(0.45),
    };
    let spec = LossSpec {
        reading: Some(Reading {
            kind: TaskKind::Detect,
            how: How::Detections(layout),
            why: String::new(),
            given: true,
        }),
        ..LossSpec::default()
    };
    (net.model(), spec)
}

fn samples(model: &ModelProto, count: usize) -> Dataset {
    let specs = input_specs(&Graph::of(model).unwrap(), &ShapeOptions::default()).unwrap();
    Dataset::random(&specs, count, 3).unwrap()
}

/// What a model loses on some runs, and what it is taught by.
fn judged(
    teacher: &ModelProto,
    model: &ModelProto,
    spec: &LossSpec,
    data: &Dataset,
    runs: Range<usize>,
) -> snapprune::Result<(f64, Vec<Objective>)> {
    let device = cpu();
    let executor = StagedExecutor::new(&device, data, runs)?;
    let reference = Reference::of(&executor, teacher, &Graph::of(teacher)?, spec)?;
    let judgement = reference.judge(&executor, model, &Graph::of(model)?, 0)?;
    Ok((judgement.loss(), reference.objectives()))
}

#[test]
fn gradients_of_scores_and_boxes_are_those_of_differences() {
    for logits in [false, true] {
        let (teacher, spec) = detector(5, logits);
        let (student, _) = detector(6, logits);
        let data = samples(&teacher, 8);
        let (_, objectives) = judged(&teacher, &student, &spec, &data, 0..4).unwrap();
        let inputs = data.run(0).inputs;
        let mut taught: Vec<NamedTensor> = cpu().outputs_plain(&encode(&teacher), &inputs).unwrap();
        let counts = Objective::counts(&objectives, &taught, 1);
        assert_eq!(counts.len(), 4);
        let boxes = counts
            .iter()
            .find(|(name, _)| name.ends_with("/boxes") && name.contains(&taught[1].0));
        assert!(boxes.unwrap().1.to_f32().unwrap().iter().any(|&c| c > 0.0));
        taught.extend(counts);
        follows_for(&format!("logits {logits}"), &student, &inputs, &taught, &objectives, 6);
    }
}

#[test]
fn a_detector_comes_nearer_to_what_the_original_finds() {
    let (teacher, spec) = detector(5, false);
    let mut student = teacher.clone();
    let mut random = fastrand::Rng::with_seed(2);
    for proto in &mut student.graph.as_mut().unwrap().initializer {
        let tensor = Tensor::read(proto).unwrap();
        let Some(values) = tensor.to_f32() else { continue };
        let off: Vec<f32> = values.iter().map(|v| v * (0.6 + 0.8 * random.f32())).collect();
        Tensor::from_f32(tensor.dims, &off).store(proto);
    }
    let data = samples(&teacher, 128);
    let loss = |model: &ModelProto, runs| judged(&teacher, model, &spec, &data, runs);
    let (_, objectives) = loss(&student, 96..112).unwrap();
    assert_eq!(objectives.len(), 2);
    assert!(
        objectives
            .iter()
            .all(|o| matches!(o.kind, ObjectiveKind::Detections(_)) && o.has_places())
    );
    let teaching = Teaching {
        teacher: &teacher,
        objectives: &objectives,
        data: &data,
        runs: &(0..96),
        unseen: &(0..0),
        most: 64,
    };
    let schedule = Schedule {
        steps: 150,
        at_most: Duration::MAX,
        seed: 1,
    };
    let watch = Watch {
        limit: &Limit::default(),
        progress: &|_, _| {},
    };
    let judge = |model: &ModelProto| Ok(loss(model, 96..112)?.0);
    let found = distill(&cpu(), &student, teaching, schedule, &judge, watch).unwrap();
    assert_eq!((found.steps, found.tensors), (150, [6, 0]), "{:?}", found.stopped_by);
    let trained = found.model.expect("some weights did better");
    let [before, after] = [&student, &trained].map(|model| loss(model, 112..128).unwrap().0);
    assert!(after < 0.5 * before, "{before} before, {after} after");
}

/// A model that was exported for one sample runs many at once, where each gives what it gives alone.
#[test]
fn a_fixed_batch_is_opened_where_samples_stay_apart() {
    let device = cpu();
    let runs = |model: &ModelProto| -> Vec<Vec<NamedTensor>> {
        let data = samples(model, 5);
        (0..data.runs()).map(|k| data.run(k).inputs).collect()
    };
    let (model, _) = detector(4, false);
    let own = runs(&model);
    assert_eq!(own.len(), 5);
    let open = open_batch(&device, &model, &own[..3])
        .unwrap()
        .expect("samples stay apart");
    let many: Vec<u8> = own.iter().flat_map(|run| run[0].1.bytes.to_vec()).collect();
    let many = Tensor {
        dims: vec![5, 3, 8, 8],
        dtype: Dtype::Float,
        bytes: many.into(),
    };
    let all = device.outputs(&encode(&open), &[("x".to_owned(), many)]).unwrap();
    for (k, run) in own.iter().enumerate() {
        for ((_, all), (name, one)) in all.iter().zip(device.outputs(&encode(&model), run).unwrap()) {
            let (all, one) = (all.to_f32().unwrap(), one.to_f32().unwrap());
            let part = &all[k * one.len()..(k + 1) * one.len()];
            let off = part.iter().zip(&one).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-5, "{name} of sample {k}: {off}");
        }
    }
    // What is taken off the mean of all samples hangs on which others there are.
    let mut net = Net::new(17, 6);
    net.input("x", &[1, 3, 8, 8]);
    let y = net.conv("x", 3, 4, 3, 1);
    let mean = net.node("ReduceMean", &[&y], |n| n.set_ints("axes", vec![0]));
    let half = net.floats(&[1], 0.5, 0.5);
    let mean = net.node("Mul", &[&mean, &half], |_| {});
    let y = net.node("Sub", &[&y, &mean], |_| {});
    net.output(&y);
    let mixing = net.model();
    assert!(open_batch(&device, &mixing, &runs(&mixing)[..3]).unwrap().is_none());
}
