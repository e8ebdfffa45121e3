//! Normalizations and pools.

use super::{
    Expect::{Fixed, Free, GrowsAtEnd, Shrinks},
    Op, none,
};
use snapprune::onnx::Attributes;

pub(super) fn cases() -> Vec<Op> {
    vec![
        (
            "BatchNormalization",
            &[7, 9, 14, 15],
            |n, x| {
                let (s, b) = (n.floats(&[8], 0.5, 1.5), n.floats(&[8], -0.5, 0.5));
                let (m, v) = (n.floats(&[8], -0.5, 0.5), n.floats(&[8], 0.5, 1.5));
                (n.node("BatchNormalization", &[x, &s, &b, &m, &v], none), 8)
            },
            Free,
        ),
        (
            "InstanceNormalization",
            &[7, 22],
            |n, x| {
                let (s, b) = (n.floats(&[8], 0.5, 1.5), n.floats(&[8], -0.5, 0.5));
                (n.node("InstanceNormalization", &[x, &s, &b], none), 8)
            },
            Free,
        ),
        (
            "GroupNormalization",
            &[21],
            |n, x| {
                let (s, b) = (n.floats(&[8], 0.5, 1.5), n.floats(&[8], -0.5, 0.5));
                (
                    n.node("GroupNormalization", &[x, &s, &b], |a| a.set_int("num_groups", 4)),
                    8,
                )
            },
            Free,
        ),
        (
            "group norm by Reshape",
            &[13],
            |n, x| {
                let (s, b) = (n.floats(&[4], 1.0, 1.0), n.floats(&[4], 0.0, 0.0));
                let (t, back) = (n.ints(&[0, 4, -1]), n.ints(&[1, 8, 6, 6]));
                let (scale, bias) = (n.floats(&[8, 1, 1], 0.5, 1.5), n.floats(&[8, 1, 1], -0.5, 0.5));
                let r = n.node("Reshape", &[x, &t], none);
                let i = n.node("InstanceNormalization", &[&r, &s, &b], none);
                let r = n.node("Reshape", &[&i, &back], none);
                let m = n.node("Mul", &[&r, &scale], none);
                (n.node("Add", &[&m, &bias], none), 8)
            },
            Free,
        ),
        (
            "LayerNormalization",
            &[17],
            |n, x| {
                let t = n.node("Transpose", &[x], |a| a.set_ints("perm", vec![0, 2, 3, 1]));
                let s = n.floats(&[8], 0.5, 1.5);
                let l = n.node("LayerNormalization", &[&t, &s], none);
                (n.node("Transpose", &[&l], |a| a.set_ints("perm", vec![0, 3, 1, 2])), 8)
            },
            Fixed,
        ),
        (
            "LRN",
            &[7, 13],
            |n, x| (n.node("LRN", &[x], |a| a.set_int("size", 3)), 8),
            GrowsAtEnd,
        ),
        (
            "Softmax",
            &[7, 11, 13],
            |n, x| (n.node("Softmax", &[x], |a| a.set_int("axis", 1)), 8),
            Fixed,
        ),
        (
            "MaxPool",
            &[8, 10, 11, 12, 22],
            |n, x| {
                (
                    n.node("MaxPool", &[x], |a| {
                        a.set_ints("kernel_shape", vec![2, 2]);
                        a.set_ints("strides", vec![2, 2]);
                    }),
                    8,
                )
            },
            Free,
        ),
        (
            "MaxPool ceil",
            &[11],
            |n, x| {
                (
                    n.node("MaxPool", &[x], |a| {
                        a.set_ints("kernel_shape", vec![3, 3]);
                        a.set_ints("strides", vec![2, 2]);
                        a.set_int("ceil_mode", 1);
                    }),
                    8,
                )
            },
            Free,
        ),
        (
            "AveragePool",
            &[7, 10, 11, 19, 22],
            |n, x| {
                (
                    n.node("AveragePool", &[x], |a| {
                        a.set_ints("kernel_shape", vec![3, 3]);
                        a.set_ints("pads", vec![1; 4]);
                    }),
                    8,
                )
            },
            Free,
        ),
        (
            "LpPool",
            &[11, 18],
            |n, x| (n.node("LpPool", &[x], |a| a.set_ints("kernel_shape", vec![2, 2])), 8),
            Free,
        ),
        (
            "GroupNormalization spelled out",
            &[13],
            |n, x| {
                let s = n.ints(&[0, 4, -1]);
                let r = n.node("Reshape", &[x, &s], none);
                let (scale, shift) = (n.floats(&[4], 1.0, 1.0), n.floats(&[4], 0.0, 0.0));
                let i = n.node("InstanceNormalization", &[&r, &scale, &shift], none);
                let shape = n.node("Shape", &[x], none);
                let y = n.node("Reshape", &[&i, &shape], none);
                let (m, b) = (n.floats(&[8, 1, 1], 0.5, 1.5), n.floats(&[8, 1, 1], -0.5, 0.5));
                let y = n.node("Mul", &[&y, &m], none);
                (n.node("Add", &[&y, &b], none), 8)
            },
            Free,
        ),
        (
            "MeanVarianceNormalization",
            &[9, 13],
            |n, x| (n.node("MeanVarianceNormalization", &[x], none), 8),
            Shrinks,
        ),
        (
            "MeanVarianceNormalization over channels",
            &[9, 13],
            |n, x| {
                (
                    n.node("MeanVarianceNormalization", &[x], |a| a.set_ints("axes", vec![1])),
                    8,
                )
            },
            Fixed,
        ),
        (
            "LpNormalization",
            &[7, 22],
            |n, x| (n.node("LpNormalization", &[x], |a| a.set_int("axis", 1)), 8),
            Fixed,
        ),
        (
            "RMSNormalization",
            &[23],
            |n, x| {
                let s = n.floats(&[6], 0.5, 1.5);
                (n.node("RMSNormalization", &[x, &s], none), 8)
            },
            Free,
        ),
        (
            "LogSoftmax",
            &[7, 11, 13],
            |n, x| (n.node("LogSoftmax", &[x], |a| a.set_int("axis", 1)), 8),
            Fixed,
        ),
        (
            "Softmax over space",
            &[13],
            |n, x| (n.node("Softmax", &[x], |a| a.set_int("axis", -1)), 8),
            Free,
        ),
        (
            "Hardmax",
            &[7, 11, 13],
            |n, x| (n.node("Hardmax", &[x], |a| a.set_int("axis", 1)), 8),
            Fixed,
        ),
    ]
}
