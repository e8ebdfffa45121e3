//! Each rule of a gradient against central differences of the loss.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use common::cpu;
use common::net::{Net, set_float, set_text};
use snapprune::device::{Executor, NamedTensor};
use snapprune::distill::Gradients;
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Attributes, Tensor, encode};
use snapprune::score::{Objective, ObjectiveKind};

/// Weights that are looked at in each tensor.
const LOOKED_AT: usize = 5;

pub(super) fn numbers(output: &str) -> Objective {
    Objective {
        output: output.to_owned(),
        weight: 1.0,
        kind: ObjectiveKind::Numbers {
            inner: 1,
            variances: vec![0.7],
        },
    }
}

/// Gradients of the loss of a net's last value, for every weight tensor of which some are given, against differences.
/// `weights`: how many tensors must have a gradient.
pub(super) fn follows(name: &str, mut net: Net, y: &str, dims: &[usize], weights: usize) {
    net.output(y);
    let mut random = fastrand::Rng::with_seed(9);
    let mut drawn = |dims: &[usize]| {
        let values: Vec<f32> = (0..dims.iter().product()).map(|_| random.f32() * 2.0 - 1.0).collect();
        Tensor::from_f32(dims.to_vec(), &values)
    };
    let inputs = vec![("x".to_owned(), drawn(dims))];
    let model = net.model();
    let made = cpu().outputs_plain(&encode(&model), &inputs).unwrap().remove(0).1;
    let taught = vec![(y.to_owned(), drawn(&made.dims))];
    follows_for(name, &model, &inputs, &taught, &[numbers(y)], weights);
}

pub(super) fn follows_for(
    name: &str,
    model: &ModelProto,
    inputs: &[NamedTensor],
    taught: &[NamedTensor],
    objectives: &[Objective],
    weights: usize,
) {
    let device = cpu();
    let of = Gradients::of(&device, model, inputs, objectives).unwrap();
    let mut gradients = of.unwrap_or_else(|stopped| panic!("{name}: {stopped:?}"));
    let own: Vec<Tensor> = gradients.weights().iter().map(|w| w.tensor.clone()).collect();
    assert_eq!(own.len(), weights, "{name}: {:?}", gradients.weights());
    let (_, found) = gradients.at(&own, inputs, taught).unwrap();
    for (k, tensor) in own.iter().enumerate() {
        let values = tensor.to_f32().unwrap();
        let largest = found[k].iter().fold(0.0f32, |most, g| most.max(g.abs()));
        assert!(largest > 0.0, "{name}: no gradient of {}", gradients.weights()[k].name);
        assert_eq!(found[k].len(), values.len(), "{name}");
        for i in (0..values.len()).step_by(values.len().div_ceil(LOOKED_AT)) {
            let mut loss_at = |step: f32| {
                let mut other = values.clone();
                other[i] += step;
                let mut all = own.clone();
                all[k] = Tensor::from_f32(tensor.dims.clone(), &other);
                gradients.at(&all, inputs, taught).unwrap().0
            };
            let step = 3e-3;
            let slope = (loss_at(step) - loss_at(-step)) / (2.0 * f64::from(step));
            let error = (slope - f64::from(found[k][i])).abs();
            assert!(
                error < 0.03 * f64::from(largest) + 1e-4,
                "{name}, weight {i} of tensor {k}: gradient {}, difference {slope}",
                found[k][i]
            );
        }
    }
}

/// A map of 4 channels made by weights, for an operator behind.
pub(super) fn map(seed: u64) -> (Net, String) {
    let mut net = Net::new(13, seed);
    let x = net.input("x", &[2, 3, 6, 6]);
    let y = net.conv(&x, 3, 4, 3, 1);
    (net, y)
}

pub(super) const X: [usize; 4] = [2, 3, 6, 6];

#[test]
fn functions_of_one_number() {
    for op in [
        "Relu",
        "LeakyRelu",
        "Sigmoid",
        "Tanh",
        "HardSigmoid",
        "Softplus",
        "Exp",
        "Neg",
        "Erf",
        "Identity",
    ] {
        let (mut net, y) = map(2);
        let y = net.node(op, &[&y], |_| {});
        follows(op, net, &y, &X, 2);
    }
    let (mut net, y) = map(3);
    let (least, most) = (
        net.constant(&Tensor::from_f32(vec![], &[-0.4])),
        net.constant(&Tensor::from_f32(vec![], &[0.5])),
    );
    let y = net.node("Clip", &[&y, &least, &most], |_| {});
    follows("Clip", net, &y, &X, 2);
    let (mut net, y) = map(4);
    net.opset = 14;
    let three = net.constant(&Tensor::from_f32(vec![], &[4.0]));
    let wide = net.node("Mul", &[&y, &three], |_| {});
    let y = net.node("HardSwish", &[&wide], |_| {});
    follows("HardSwish", net, &y, &X, 2);
}

#[test]
fn arithmetic_repeats_what_is_shorter() {
    for op in ["Add", "Sub", "Mul", "Div"] {
        for turned in [false, true] {
            let (mut net, y) = map(6);
            let pooled = net.node("GlobalAveragePool", &[&y], |_| {});
            let gate = net.node("Exp", &[&pooled], |_| {});
            let base = net.node("Exp", &[&y], |_| {});
            let pair = if turned { [&gate, &base] } else { [&base, &gate] };
            let y = net.node(op, &[pair[0], pair[1]], |_| {});
            follows(op, net, &y, &X, 2);
        }
    }
}

#[test]
fn products_of_matrices() {
    let (mut net, y) = map(7);
    let flat = net.node("Flatten", &[&y], |_| {});
    let (w, b) = (net.weights(&[5, 144]), net.floats(&[5], -0.3, 0.3));
    let first = net.node("Gemm", &[&flat, &w, &b], |n| n.set_int("transB", 1));
    let (w, b) = (net.weights(&[5, 3]), net.floats(&[3], -0.3, 0.3));
    let y = net.node("Gemm", &[&first, &w, &b], |n| {
        set_float(n, "alpha", 0.7);
        set_float(n, "beta", 0.3);
    });
    follows("Gemm", net, &y, &X, 6);
    let (mut net, y) = map(8);
    let w = net.weights(&[6, 5]);
    let y = net.node("MatMul", &[&y, &w], |_| {});
    follows("MatMul by a matrix", net, &y, &X, 3);
    let (mut net, y) = map(9);
    let turned = net.node("Transpose", &[&y], |n| n.set_ints("perm", vec![0, 1, 3, 2]));
    let both = net.node("MatMul", &[&y, &turned], |_| {});
    let y = net.node("Softmax", &[&both], |n| n.set_int("axis", -1));
    follows("MatMul of two, Softmax", net, &y, &X, 2);
}

#[test]
fn normalization_by_stored_statistics() {
    let (mut net, y) = map(10);
    let (scale, shift) = (net.floats(&[4], 0.5, 1.5), net.floats(&[4], -0.3, 0.3));
    let (mean, variance) = (net.floats(&[4], -0.3, 0.3), net.floats(&[4], 0.5, 1.5));
    let y = net.node("BatchNormalization", &[&y, &scale, &shift, &mean, &variance], |n| {
        set_float(n, "epsilon", 1e-3);
    });
    follows("BatchNormalization", net, &y, &X, 4);
}

#[test]
fn pools_and_means() {
    let pool = |op: &str, kernel: i64, stride: i64, pads: i64, counted: i64| {
        let (mut net, y) = map(12);
        let y = net.node(op, &[&y], |n| {
            n.set_ints("kernel_shape", vec![kernel; 2]);
            n.set_ints("strides", vec![stride; 2]);
            n.set_ints("pads", vec![pads; 4]);
            if op == "AveragePool" {
                n.set_int("count_include_pad", counted);
            }
        });
        follows(&format!("{op} {kernel} {stride}"), net, &y, &X, 2);
    };
    pool("MaxPool", 2, 2, 0, 0);
    pool("MaxPool", 4, 4, 0, 0);
    pool("MaxPool", 3, 2, 1, 0);
    pool("MaxPool", 5, 1, 2, 0);
    pool("AveragePool", 2, 2, 0, 0);
    pool("AveragePool", 3, 2, 0, 0);
    pool("AveragePool", 3, 2, 1, 1);
    let (mut net, y) = map(13);
    let y = net.node("ReduceMean", &[&y], |n| {
        n.set_ints("axes", vec![2, -1]);
        n.set_int("keepdims", 0);
    });
    follows("ReduceMean", net, &y, &X, 2);
    let (mut net, y) = map(14);
    let y = net.node("GlobalAveragePool", &[&y], |_| {});
    follows("GlobalAveragePool", net, &y, &X, 2);
}

#[test]
fn what_moves_elements() {
    let (mut net, y) = map(15);
    let sizes = net.ints(&[1, 3]);
    let parts = net.node_many("Split", &[&y, &sizes], 2, |n| n.set_int("axis", 1));
    let pads = net.ints(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let wide = net.node("Pad", &[&parts[0], &pads], |_| {});
    let joined = net.node("Concat", &[&wide, &parts[1]], |n| n.set_int("axis", 1));
    let [from, to, axes, steps] = [[1, 0], [6, 6], [2, 3], [2, 3]].map(|l| net.ints(&l));
    let y = net.node("Slice", &[&joined, &from, &to, &axes, &steps], |_| {});
    follows("Split, Pad, Concat, Slice", net, &y, &X, 2);
    let (mut net, y) = map(16);
    let sizes = net.ints(&[1, 3]);
    let parts = net.node_many("Split", &[&y, &sizes], 2, |n| n.set_int("axis", 1));
    follows("a part that nothing reads", net, &parts[1], &X, 2);
    let (mut net, y) = map(17);
    let shape = net.ints(&[2, 2, 2, 36]);
    let split = net.node("Reshape", &[&y, &shape], |_| {});
    let y = net.node("Transpose", &[&split], |n| n.set_ints("perm", vec![2, 0, 3, 1]));
    follows("Reshape, Transpose", net, &y, &X, 2);
    for (name, indices) in [("Gather, all", vec![2, 0, -1, 1]), ("Gather, some", vec![3, 1])] {
        let (mut net, y) = map(23);
        let indices = net.ints(&indices);
        let y = net.node("Gather", &[&y, &indices], |n| n.set_int("axis", 1));
        follows(name, net, &y, &X, 2);
    }
    let (mut net, y) = map(24);
    let mut index = Tensor::from_i64(&[2]);
    index.dims = vec![];
    let index = net.constant(&index);
    let y = net.node("Gather", &[&y, &index], |n| n.set_int("axis", -3));
    follows("Gather, one", net, &y, &X, 2);
    let (mut net, y) = map(18);
    let scales = net.constant(&Tensor::from_f32(vec![4], &[1.0, 1.0, 2.0, 3.0]));
    let y = net.node("Resize", &[&y, "", &scales], |n| {
        set_text(n, "mode", "nearest");
        set_text(n, "coordinate_transformation_mode", "asymmetric");
        set_text(n, "nearest_mode", "floor");
    });
    follows("Resize", net, &y, &X, 2);
}

#[test]
fn the_divergence_of_classes() {
    for logits in [true, false] {
        let (mut net, y) = map(19);
        let pooled = net.node("GlobalAveragePool", &[&y], |_| {});
        let flat = net.node("Flatten", &[&pooled], |_| {});
        let w = net.weights(&[4, 5]);
        let mut y = net.node("MatMul", &[&flat, &w], |_| {});
        if !logits {
            y = net.node("Softmax", &[&y], |n| n.set_int("axis", 1));
        }
        net.output(&y);
        let objective = Objective {
            output: y.clone(),
            weight: 1.0,
            kind: ObjectiveKind::Classes {
                classes: 5,
                temperature: 2.0,
                logits,
            },
        };
        let values: Vec<f32> = (0..216).map(|i| ((i * 37 % 101) as f32) / 50.0 - 1.0).collect();
        let inputs = vec![("x".to_owned(), Tensor::from_f32(X.to_vec(), &values))];
        let taught = [0.1, 0.2, 0.4, 0.25, 0.05, 0.6, 0.1, 0.1, 0.1, 0.1];
        let taught = vec![(y, Tensor::from_f32(vec![2, 5], &taught))];
        follows_for("classes", &net.model(), &inputs, &taught, &[objective], 3);
    }
}

/// Elements of a window that are equally large have equal parts.
#[test]
fn ties_of_a_pool_share_its_gradient() {
    let mut net = Net::new(13, 15);
    let x = net.input("x", &[2, 3, 6, 6]);
    let y = net.conv(&x, 3, 4, 1, 1);
    let y = net.node("MaxPool", &[&y], |n| {
        n.set_ints("kernel_shape", vec![2; 2]);
        n.set_ints("strides", vec![2; 2]);
    });
    net.output(&y);
    let constant = vec![("x".to_owned(), Tensor::from_f32(X.to_vec(), &[0.3; 216]))];
    let taught = vec![(y.clone(), Tensor::from_f32(vec![2, 4, 3, 3], &[0.5; 72]))];
    follows_for("ties", &net.model(), &constant, &taught, &[numbers(&y)], 2);
}
