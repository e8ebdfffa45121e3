//! Layers that end in scores or masks, fitted to these: which values of the outputs they make is found whatever moves them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use common::cpu;
use common::net::Net;
use snapprune::data::Dataset;
use snapprune::device::{Limit, ShapeOptions, input_specs};
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Attributes, Graph, Tensor};
use snapprune::reconstruct::{FitSamples, SharesFitted, fit_shares};
use snapprune::score::{LossSpec, Reference, StagedExecutor, Watch};
use snapprune::task::{Boxes, DetectLayout, How, LayoutKind, Reading, TaskKind};

/// What stands between the last layers and the outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    /// A sigmoid, then places behind places.
    Sigmoid,
    /// Places behind places, then a softmax of background and one class.
    Softmax,
    /// A sigmoid of what a Relu lets through.
    Relu,
    /// A sigmoid times something else.
    Scaled,
}

/// Features of 8 × 8 places, and heads at these and at 4 × 4: scores, and boxes that no one looks at.
fn detector(ending: Ending) -> (ModelProto, LossSpec) {
    let mut net = Net::new(13, 5);
    net.input("x", &[1, 3, 16, 16]);
    let mut y = "x".to_owned();
    let (mut scores, mut boxes) = (Vec::new(), Vec::new());
    let classes = if ending == Ending::Softmax { 2 } else { 1 };
    for (cin, side) in [(3, 8), (8, 4)] {
        y = net.conv(&y, cin, 8, 3, 1);
        y = net.node("Relu", &[&y], |_| {});
        y = net.node("MaxPool", &[&y], |n| {
            n.set_ints("kernel_shape", vec![2; 2]);
            n.set_ints("strides", vec![2; 2]);
        });
        let head = |net: &mut Net, columns: usize, shared: bool| {
            let mut z = net.conv(&y, 8, columns, 1, 1);
            if shared && ending == Ending::Relu {
                z = net.node("Relu", &[&z], |_| {});
            }
            if shared && ending != Ending::Softmax {
                z = net.node("Sigmoid", &[&z], |_| {});
            }
            let z = net.node("Transpose", &[&z], |n| n.set_ints("perm", vec![0, 2, 3, 1]));
            let shape = net.ints(&[1, side * side, columns as i64]);
            net.node("Reshape", &[&z, &shape], |_| {})
        };
        scores.push(head(&mut net, classes, true));
        boxes.push(head(&mut net, 4, false));
    }
    let joined = |net: &mut Net, parts: &[String]| {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        net.node("Concat", &parts, |n| n.set_int("axis", 1))
    };
    let mut scores = joined(&mut net, &scores);
    let boxes = joined(&mut net, &boxes);
    if ending == Ending::Softmax {
        scores = net.node("Softmax", &[&scores], |n| n.set_int("axis", 2));
    }
    if ending == Ending::Scaled {
        let by = net.floats(&[1], 0.5, 0.6);
        scores = net.node("Mul", &[&scores, &by], |_| {});
    }
    net.output(&scores);
    net.output(&boxes);
    let layout = DetectLayout {
        kind: LayoutKind::Pair {
            boxes: Boxes::Corners,
            background: ending == Ending::Softmax,
        },
        name: "SSD",
        outputs: vec![scores, boxes],
        classes: 1,
        attributes_first: false,
        logits: false,
        score: 0.5,
        scale: (1.0, 1.0),
        suppression: Some(0.45),
    };
    let reading = Reading {
        kind: TaskKind::Detect,
        how: How::Detections(layout),
        why: String::new(),
        given: true,
    };
    let spec = LossSpec {
        reading: Some(reading),
        ..LossSpec::default()
    };
    (net.model(), spec)
}

/// The same with weights of the layers with so few outputs off by some, as a narrower model has them.
fn off(model: &ModelProto, outputs: usize) -> ModelProto {
    let mut off = model.clone();
    let mut random = fastrand::Rng::with_seed(2);
    for proto in &mut off.graph.as_mut().unwrap().initializer {
        let tensor = Tensor::read(proto).unwrap();
        let Some(values) = tensor
            .to_f32()
            .filter(|_| tensor.dims.len() == 4 && tensor.dims[0] <= outputs)
        else {
            continue;
        };
        let values: Vec<f32> = values.iter().map(|v| v + random.f32() - 0.5).collect();
        Tensor::from_f32(tensor.dims, &values).store(proto);
    }
    off
}

/// What was fitted, and the loss before and after on samples that neither fitted nor judged.
fn fitted(teacher: &ModelProto, student: &ModelProto, spec: &LossSpec) -> (Option<SharesFitted>, [f64; 2]) {
    let device = cpu();
    let specs = input_specs(&Graph::of(teacher).unwrap(), &ShapeOptions::default()).unwrap();
    let data = Dataset::random(&specs, 60, 3).unwrap();
    let executor = StagedExecutor::new(&device, &data, 50..60).unwrap();
    let reference = Reference::of(&executor, teacher, &Graph::of(teacher).unwrap(), spec).unwrap();
    let loss = |model: &ModelProto| {
        let judgement = reference
            .judge(&executor, model, &Graph::of(model).unwrap(), 0)
            .unwrap();
        judgement.loss()
    };
    let on = FitSamples {
        data: &data,
        runs: 0..40,
        judge: 40..50,
    };
    let watch = Watch {
        limit: &Limit::default(),
        progress: &|_, _| {},
    };
    let found = fit_shares(&device, (teacher, student), &on, &reference.objectives(), (0, watch)).unwrap();
    let after = found.as_ref().map_or(f64::INFINITY, |f| loss(&f.proto));
    (found, [loss(student), after])
}

#[test]
fn scores_of_two_grids_come_back_whatever_moves_them() {
    for ending in [Ending::Sigmoid, Ending::Softmax] {
        let (teacher, spec) = detector(ending);
        let student = off(&teacher, 2);
        let (found, [before, after]) = fitted(&teacher, &student, &spec);
        let found = found.unwrap();
        assert_eq!((found.layers, found.of), (2, 2), "{ending:?}");
        assert!(after < 0.2 * before, "{ending:?}: {before} → {after}");
        // What is right already stays as it is.
        let (same, _) = fitted(&teacher, &teacher, &spec);
        assert_eq!(same.unwrap().layers, 0, "{ending:?}");
    }
}

#[test]
fn what_is_not_moved_alone_is_no_share() {
    for ending in [Ending::Relu, Ending::Scaled] {
        let (teacher, spec) = detector(ending);
        let (found, _) = fitted(&teacher, &off(&teacher, 2), &spec);
        assert!(found.is_none(), "{ending:?}");
    }
}

/// A mask by a transposed convolution whose bias is added behind it, without axes of samples and channels, as PaddleOCR's models give it.
#[test]
fn a_mask_comes_back_where_a_bias_is_added_behind_its_layer() {
    let mut net = Net::new(13, 6);
    net.input("x", &[1, 3, 12, 12]);
    let y = net.conv("x", 3, 6, 3, 1);
    let y = net.node("Relu", &[&y], |_| {});
    let weights = net.weights(&[6, 1, 2, 2]);
    let y = net.node("ConvTranspose", &[&y, &weights], |n| {
        n.set_ints("kernel_shape", vec![2; 2]);
        n.set_ints("strides", vec![2; 2]);
    });
    let bias = net.floats(&[1, 1, 1, 1], -1.5, -1.4);
    let y = net.node("Add", &[&y, &bias], |_| {});
    let y = net.node("Sigmoid", &[&y], |_| {});
    let shape = net.ints(&[24, 24]);
    let y = net.node("Reshape", &[&y, &shape], |_| {});
    net.output(&y);
    let teacher = net.model();
    let mut student = teacher.clone();
    let graph = student.graph.as_mut().unwrap();
    let proto = graph.initializer.iter_mut().find(|t| *t.name() == weights).unwrap();
    let tensor = Tensor::read(proto).unwrap();
    let values: Vec<f32> = tensor.to_f32().unwrap().iter().map(|v| 0.3 * v).collect();
    Tensor::from_f32(tensor.dims, &values).store(proto);
    let spec = LossSpec {
        reading: Some(Reading {
            kind: TaskKind::Regress,
            how: How::Values,
            why: String::new(),
            given: true,
        }),
        ..LossSpec::default()
    };
    let (found, [before, after]) = fitted(&teacher, &student, &spec);
    assert_eq!(found.unwrap().layers, 1);
    assert!(after < 0.2 * before, "{before} → {after}");
}
