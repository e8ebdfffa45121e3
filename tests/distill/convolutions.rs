//! Gradients of convolutions against central differences of the loss.

use super::rules::{X, follows, map};
use crate::common::net::set_text;
use snapprune::onnx::Attributes;

#[test]
fn convolutions() {
    for (k, groups, stride, pads, dilation) in [
        (3, 1, 1, [1; 4], 1),
        (3, 1, 2, [1; 4], 1),
        (1, 1, 2, [0; 4], 1),
        (3, 2, 2, [0, 1, 1, 0], 1),
        (3, 4, 1, [1; 4], 1),
        (3, 4, 2, [2; 4], 2),
        (2, 2, 3, [0; 4], 1),
    ] {
        let (mut net, y) = map(k as u64);
        let (w, b) = (net.weights(&[8, 4 / groups, k, k]), net.floats(&[8], -0.3, 0.3));
        let y = net.node("Conv", &[&y, &w, &b], |n| {
            n.set_int("group", groups as i64);
            n.set_ints("strides", vec![stride; 2]);
            n.set_ints("dilations", vec![dilation; 2]);
            n.set_ints("pads", pads.to_vec());
        });
        follows(&format!("{k}×{k}, {groups} groups, stride {stride}"), net, &y, &X, 4);
    }
    for (k, stride, pads, dilation) in [
        (3, 1, [1; 4], 1),
        (3, 2, [1; 4], 1),
        (3, 2, [0, 0, 1, 1], 1),
        (5, 3, [2, 1, 0, 2], 1),
        (3, 1, [2; 4], 2),
        (2, 3, [0; 4], 1),
        (1, 2, [0; 4], 1),
        (1, 1, [1; 4], 1),
    ] {
        let (mut net, y) = map(k as u64);
        let (w, b) = (net.weights(&[4, 1, k, k]), net.floats(&[4], -0.3, 0.3));
        let y = net.node("Conv", &[&y, &w, &b], |n| {
            n.set_int("group", 4);
            n.set_ints("strides", vec![stride; 2]);
            n.set_ints("dilations", vec![dilation; 2]);
            n.set_ints("pads", pads.to_vec());
        });
        follows(
            &format!("{k}×{k} by channels, stride {stride}, pads {pads:?}"),
            net,
            &y,
            &X,
            4,
        );
    }
    let (mut net, y) = map(11);
    let w = net.weights(&[4, 4, 3, 3]);
    let y = net.node("Conv", &[&y, &w], |n| {
        set_text(n, "auto_pad", "SAME_UPPER");
        n.set_ints("strides", vec![2, 2]);
    });
    follows("pads of its own", net, &y, &X, 3);
}

#[test]
fn transposed_convolutions() {
    for groups in [1, 2] {
        let (mut net, y) = map(5);
        let (w, b) = (net.weights(&[4, 6 / groups, 3, 3]), net.floats(&[6], -0.3, 0.3));
        let y = net.node("ConvTranspose", &[&y, &w, &b], |n| {
            n.set_int("group", groups as i64);
            n.set_ints("strides", vec![2, 2]);
            n.set_ints("pads", vec![1; 4]);
        });
        follows("transposed", net, &y, &X, 4);
    }
}
