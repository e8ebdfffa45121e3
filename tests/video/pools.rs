//! Pools whose last windows reach beyond the map, or see nothing of it.

use super::exact::{exact, plain, strided};
use crate::common::net::set_text;
use snapprune::onnx::Attributes;

#[test]
fn pools_that_round_up_come_out_the_same() {
    for (side, kernel, stride, pads) in [
        (92, 2, 2, [0, 0, 1, 0]),
        (92, 2, 2, [0, 0, 1, 1]),
        (91, 2, 2, [0; 4]),
        (90, 3, 2, [0, 0, 1, 1]),
        (90, 3, 2, [1; 4]),
        (92, 3, 3, [1, 0, 0, 1]),
        (96, 2, 3, [1, 1, 0, 0]),
    ] {
        let mut net = plain(side, side);
        let x = strided(&mut net, "image", 3, 8, 2);
        let x = net.node("Relu", &[&x], |_| {});
        let x = strided(&mut net, &x, 8, 8, 1);
        let x = net.node("Relu", &[&x], |_| {});
        let x = net.node("MaxPool", &[&x], |n| {
            n.set_ints("kernel_shape", vec![kernel; 2]);
            n.set_ints("strides", vec![stride; 2]);
            n.set_ints("pads", pads.to_vec());
            n.set_int("ceil_mode", 1);
        });
        let x = strided(&mut net, &x, 8, 8, 1);
        net.output(&x);
        exact(&format!("{side} {kernel} {stride} {pads:?}"), &net.model());
    }
}

/// What ONNX Runtime takes for a row more than it makes, as a whole map in front of a stage.
#[test]
fn pools_that_run_as_a_whole_come_out_the_same() {
    let mut net = plain(92, 92);
    let x = strided(&mut net, "image", 3, 8, 2);
    let x = net.node("Relu", &[&x], |_| {});
    let both = net.node_many("MaxPool", &[&x], 2, |n| {
        n.set_ints("kernel_shape", vec![2; 2]);
        n.set_ints("strides", vec![2; 2]);
        n.set_ints("pads", vec![0, 0, 1, 0]);
        n.set_int("ceil_mode", 1);
    });
    let x = strided(&mut net, &both[0], 8, 8, 1);
    let x = net.node("Relu", &[&x], |_| {});
    let x = strided(&mut net, &x, 8, 8, 1);
    net.output(&x);
    exact("whole", &net.model());
}

#[test]
fn pools_of_few_places_far_apart_come_out_the_same() {
    // Of the last, all places lie beyond the rows of the map.
    for (rows, dilation, pad) in [(40, 4, 1), (24, 7, 1), (32, 9, 0), (32, 31, 1), (10, 11, 1)] {
        let mut net = plain(rows, 40);
        let x = strided(&mut net, "image", 3, 8, 1);
        let x = net.node("Relu", &[&x], |_| {});
        let x = net.node("MaxPool", &[&x], |n| {
            n.set_ints("kernel_shape", vec![2; 2]);
            n.set_ints("strides", vec![1; 2]);
            n.set_ints("dilations", vec![dilation, 3]);
            n.set_ints("pads", vec![pad; 4]);
        });
        let x = strided(&mut net, &x, 8, 8, 1);
        net.output(&x);
        exact(&format!("{rows} {dilation} {pad}"), &net.model());
    }
}

#[test]
fn padding_that_follows_from_the_extents_comes_out_the_same() {
    for (side, kernel, stride) in [(61, 3, 2), (60, 3, 2), (50, 2, 3)] {
        let mut net = plain(side, side);
        let x = strided(&mut net, "image", 3, 8, 1);
        let x = net.node("Relu", &[&x], |_| {});
        let x = net.node("MaxPool", &[&x], |n| {
            n.set_ints("kernel_shape", vec![kernel; 2]);
            n.set_ints("strides", vec![stride; 2]);
            set_text(n, "auto_pad", "SAME_UPPER");
        });
        let x = strided(&mut net, &x, 8, 8, 1);
        net.output(&x);
        exact(&format!("{side} {kernel} {stride}"), &net.model());
    }
}
