//! Operators that mix neighbouring channels: new channels only at the end, and only where they are zero.

use super::{
    Expect::{Fixed, GrowsAtEnd},
    Op, none,
};
use crate::common::net::{Net, set_text};
use snapprune::onnx::Attributes;
use snapprune::onnx::proto::NodeProto;

/// Pooled channels as one row, 1×1×C.
fn pooled(n: &mut Net, x: &str) -> String {
    let (p, row) = (n.node("GlobalAveragePool", &[x], none), n.ints(&[1, 1, -1]));
    n.node("Reshape", &[&p, &row], none)
}

/// A convolution of a row by `k` weights.
fn along(n: &mut Net, row: &str, k: usize, set: impl FnOnce(&mut NodeProto)) -> String {
    let (w, b) = (n.floats(&[1, 1, k], -1.0, 1.0), n.floats(&[1], 0.5, 1.0));
    n.node("Conv", &[row, &w, &b], set)
}

/// `x` times the gate that a row of 8 channels makes.
fn gated(n: &mut Net, x: &str, row: &str) -> String {
    let (gate, shape) = (n.node("Sigmoid", &[row], none), n.ints(&[1, -1, 1, 1]));
    let gate = n.node("Reshape", &[&gate, &shape], none);
    n.node("Mul", &[x, &gate], none)
}

/// Attention over `x` by a convolution with so many weights.
fn attention(n: &mut Net, x: &str, k: usize, set: impl FnOnce(&mut NodeProto)) -> (String, usize) {
    let row = pooled(n, x);
    let row = along(n, &row, k, set);
    (gated(n, x, &row), 8)
}

fn same(a: &mut NodeProto) {
    a.set_ints("pads", vec![1, 1]);
}

pub(super) fn cases() -> Vec<Op> {
    vec![
        ("ECA", &[7, 9, 11, 13, 22], |n, x| attention(n, x, 3, same), GrowsAtEnd),
        (
            "ECA with a wide, dilated kernel",
            &[13],
            |n, x| {
                attention(n, x, 5, |a| {
                    a.set_ints("pads", vec![4, 4]);
                    a.set_ints("dilations", vec![2]);
                })
            },
            GrowsAtEnd,
        ),
        (
            "ECA with an even kernel",
            &[13],
            |n, x| attention(n, x, 4, |a| a.set_ints("pads", vec![3, 0])),
            GrowsAtEnd,
        ),
        (
            "ECA that pads by itself",
            &[13],
            |n, x| attention(n, x, 4, |a| set_text(a, "auto_pad", "SAME_LOWER")),
            GrowsAtEnd,
        ),
        ("ECA as it is exported", &[13, 17], |n, x| (n.eca(x, 3), 8), GrowsAtEnd),
        (
            "ECA with numbers for shapes",
            &[13],
            |n, x| {
                let (row, back) = (n.ints(&[1, 1, 8]), n.ints(&[1, 8, 1, 1]));
                let full = n.ints(&[1, 8, 6, 6]);
                let p = n.node("GlobalAveragePool", &[x], none);
                let row = n.node("Reshape", &[&p, &row], none);
                let y = along(n, &row, 3, same);
                let gate = n.node("Sigmoid", &[&y], none);
                let gate = n.node("Reshape", &[&gate, &back], none);
                let gate = n.node("Expand", &[&gate, &full], none);
                (n.node("Mul", &[x, &gate], none), 8)
            },
            GrowsAtEnd,
        ),
        (
            "ECA by a convolution of two dimensions",
            &[9, 13],
            |n, x| {
                let turn = |a: &mut NodeProto| a.set_ints("perm", vec![0, 2, 1, 3]);
                let p = n.node("GlobalAveragePool", &[x], none);
                let t = n.node("Transpose", &[&p], turn);
                let w = n.floats(&[1, 1, 3, 1], -1.0, 1.0);
                let y = n.node("Conv", &[&t, &w], |a| a.set_ints("pads", vec![1, 0, 1, 0]));
                let t = n.node("Transpose", &[&y], turn);
                let gate = n.node("HardSigmoid", &[&t], none);
                (n.node("Mul", &[x, &gate], none), 8)
            },
            GrowsAtEnd,
        ),
        (
            "ECA behind a sum of layers",
            &[13],
            |n, x| {
                let (s, b) = (n.floats(&[8], 0.5, 1.5), n.floats(&[8], -0.5, 0.5));
                let (m, v) = (n.floats(&[8], -0.5, 0.5), n.floats(&[8], 0.5, 1.5));
                let y = n.conv(x, 8, 8, 3, 1);
                let y = n.node("BatchNormalization", &[&y, &s, &b, &m, &v], none);
                let y = n.node("Add", &[x, &y], none);
                let y = n.node("Relu", &[&y], none);
                let (y, width) = attention(n, &y, 3, same);
                (n.node("Add", &[x, &y], none), width)
            },
            GrowsAtEnd,
        ),
        (
            "ECA behind the end of a Concat",
            &[13],
            |n, x| {
                let (o, shape) = (n.conv(x, 8, 5, 1, 1), n.ints(&[1, -1, 1, 1]));
                let y = n.node("Concat", &[&o, x], |a| a.set_int("axis", 1));
                let row = pooled(n, &y);
                let row = along(n, &row, 3, same);
                let gate = n.node("Reshape", &[&row, &shape], none);
                (n.node("Mul", &[&y, &gate], none), 13)
            },
            GrowsAtEnd,
        ),
        (
            "ECA behind the middle of a Concat",
            &[13],
            |n, x| {
                let (o, shape) = (n.conv(x, 8, 5, 1, 1), n.ints(&[1, -1, 1, 1]));
                let y = n.node("Concat", &[x, &o], |a| a.set_int("axis", 1));
                let row = pooled(n, &y);
                let row = along(n, &row, 3, same);
                let gate = n.node("Reshape", &[&row, &shape], none);
                (n.node("Mul", &[&y, &gate], none), 13)
            },
            Fixed,
        ),
        (
            "ECA behind a Sigmoid",
            &[13],
            |n, x| {
                let y = n.node("Sigmoid", &[x], none);
                attention(n, &y, 3, same)
            },
            Fixed,
        ),
        (
            "ECA behind an Exp",
            &[13],
            |n, x| {
                let y = n.node("Exp", &[x], none);
                attention(n, &y, 3, same)
            },
            Fixed,
        ),
        (
            "ECA behind an added number",
            &[13],
            |n, x| {
                let one = n.floats(&[1], 1.0, 1.0);
                let y = n.node("Add", &[x, &one], none);
                attention(n, &y, 3, same)
            },
            Fixed,
        ),
        (
            "ECA twice",
            &[13],
            |n, x| {
                let row = pooled(n, x);
                let row = along(n, &row, 3, same);
                let row = along(n, &row, 3, same);
                (gated(n, x, &row), 8)
            },
            Fixed,
        ),
        (
            "ECA with stride",
            &[13],
            |n, x| {
                let (row, shape) = (pooled(n, x), n.ints(&[1, -1, 1, 1]));
                let row = along(n, &row, 3, |a| {
                    same(a);
                    a.set_ints("strides", vec![2]);
                });
                (n.node("Reshape", &[&row, &shape], none), 4)
            },
            Fixed,
        ),
        (
            "ECA without padding",
            &[13],
            |n, x| {
                let (row, shape) = (pooled(n, x), n.ints(&[1, -1, 1, 1]));
                let row = along(n, &row, 3, none);
                (n.node("Reshape", &[&row, &shape], none), 6)
            },
            Fixed,
        ),
        (
            "A convolution along the whole map as one row",
            &[13],
            |n, x| {
                let (row, back) = (n.ints(&[1, 1, -1]), n.ints(&[1, 8, 6, 6]));
                let r = n.node("Reshape", &[x, &row], none);
                let y = along(n, &r, 3, same);
                (n.node("Reshape", &[&y, &back], none), 8)
            },
            Fixed,
        ),
        (
            "LRN behind a Sigmoid",
            &[13],
            |n, x| {
                let y = n.node("Sigmoid", &[x], none);
                (n.node("LRN", &[&y], |a| a.set_int("size", 3)), 8)
            },
            Fixed,
        ),
        (
            "CumSum over channels from behind",
            &[14],
            |n, x| {
                let axis = n.ints(&[1]);
                let y = n.node("CumSum", &[x, &axis], |a| a.set_int("reverse", 1));
                (y, 8)
            },
            GrowsAtEnd,
        ),
        (
            "A square root of what has no sign behind CumSum",
            &[14],
            |n, x| {
                let axis = n.ints(&[1]);
                let y = n.node("CumSum", &[x, &axis], |_| {});
                (n.node("Sqrt", &[&y], |_| {}), 8)
            },
            Fixed,
        ),
    ]
}
