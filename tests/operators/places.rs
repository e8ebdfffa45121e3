//! Operators that move channels: concatenations, splits, shuffles, reshapes.

use super::{
    Expect::{Fixed, Free, Shrinks},
    Op, none,
};
use crate::common::net::set_text;
use snapprune::onnx::{Attributes, Tensor};

pub(super) fn cases() -> Vec<Op> {
    vec![
        (
            "Concat",
            &[7, 11, 13],
            |n, x| {
                let o = n.conv(x, 8, 5, 1, 1);
                (n.node("Concat", &[x, &o], |a| a.set_int("axis", 1)), 13)
            },
            Free,
        ),
        (
            "Concat with itself",
            &[13],
            |n, x| (n.node("Concat", &[x, x], |a| a.set_int("axis", 1)), 16),
            Free,
        ),
        (
            "Split equal",
            &[7, 11],
            |n, x| {
                let p = n.node_many("Split", &[x], 2, |a| a.set_int("axis", 1));
                let r = n.node("Relu", &[&p[1]], none);
                (n.node("Concat", &[&r, &p[0]], |a| a.set_int("axis", 1)), 8)
            },
            Free,
        ),
        (
            "Split by attribute",
            &[7, 11],
            |n, x| {
                let p = n.node_many("Split", &[x], 2, |a| {
                    a.set_int("axis", 1);
                    a.set_ints("split", vec![3, 5]);
                });
                (n.node("Concat", &[&p[0], &p[1], &p[0]], |a| a.set_int("axis", 1)), 11)
            },
            Free,
        ),
        (
            "Split by input",
            &[13],
            |n, x| {
                let s = n.ints(&[3, 5]);
                let p = n.node_many("Split", &[x, &s], 2, |a| a.set_int("axis", 1));
                (n.node("Concat", &[&p[1], &p[0]], |a| a.set_int("axis", 1)), 8)
            },
            Free,
        ),
        (
            "Split into outputs",
            &[18],
            |n, x| {
                let p = n.node_many("Split", &[x], 2, |a| {
                    a.set_int("axis", 1);
                    a.set_int("num_outputs", 2);
                });
                (n.node("Concat", &[&p[1], &p[0], x], |a| a.set_int("axis", 1)), 16)
            },
            Free,
        ),
        (
            "Slice by attribute",
            &[7],
            |n, x| {
                (
                    n.node("Slice", &[x], |a| {
                        a.set_ints("starts", vec![2]);
                        a.set_ints("ends", vec![7]);
                        a.set_ints("axes", vec![1]);
                    }),
                    5,
                )
            },
            Free,
        ),
        (
            "Slice",
            &[10, 11, 13],
            |n, x| {
                let (s, e, a) = (n.ints(&[-6, 1]), n.ints(&[i64::MAX, 5]), n.ints(&[1, 2]));
                (n.node("Slice", &[x, &s, &e, &a], none), 6)
            },
            Free,
        ),
        (
            "Slice between the places of one channel",
            &[13],
            |n, x| {
                let twice = n.conv(x, 8, 16, 3, 8);
                let (s, e, a) = (n.ints(&[1]), n.ints(&[15]), n.ints(&[1]));
                let part = n.node("Slice", &[&twice, &s, &e, &a], none);
                let (p, y) = (n.floats(&[16, 1, 1], 0.1, 0.4), n.conv(&part, 14, 5, 1, 1));
                let all = n.node("PRelu", &[&twice, &p], none);
                let all = n.conv(&all, 16, 5, 1, 1);
                (n.node("Add", &[&y, &all], none), 5)
            },
            Shrinks,
        ),
        (
            "Split between the places of one channel",
            &[13],
            |n, x| {
                let twice = n.conv(x, 8, 16, 3, 8);
                let sizes = n.ints(&[5, 11]);
                let p = n.node_many("Split", &[&twice, &sizes], 2, |a| a.set_int("axis", 1));
                let (a, b) = (n.conv(&p[0], 5, 4, 1, 1), n.conv(&p[1], 11, 4, 1, 1));
                (n.node("Add", &[&a, &b], none), 4)
            },
            Free,
        ),
        (
            "Slice with steps",
            &[13],
            |n, x| {
                let (s, e, a, t) = (n.ints(&[0]), n.ints(&[8]), n.ints(&[1]), n.ints(&[2]));
                (n.node("Slice", &[x, &s, &e, &a, &t], none), 4)
            },
            Fixed,
        ),
        (
            "Gather",
            &[7, 11, 13],
            |n, x| {
                let i = n.ints(&[7, 0, 3, 3, -2, 1, 2, 4, 5]);
                (n.node("Gather", &[x, &i], |a| a.set_int("axis", 1)), 9)
            },
            Free,
        ),
        (
            "Pad by attribute",
            &[7],
            |n, x| {
                (
                    n.node("Pad", &[x], |a| a.set_ints("pads", vec![0, 2, 1, 1, 0, 3, 1, 1])),
                    13,
                )
            },
            Free,
        ),
        (
            "Pad",
            &[11, 13, 18, 19, 21],
            |n, x| {
                let p = n.ints(&[0, 2, 1, 1, 0, 3, 1, 1]);
                (n.node("Pad", &[x, &p], none), 13)
            },
            Free,
        ),
        (
            "Pad mirrored in space",
            &[11],
            |n, x| {
                let p = n.ints(&[0, 0, 1, 1, 0, 0, 1, 1]);
                (n.node("Pad", &[x, &p], |a| set_text(a, "mode", "reflect")), 8)
            },
            Free,
        ),
        (
            "channel shuffle",
            &[7, 13, 14, 19, 21],
            |n, x| {
                let (s, t) = (n.ints(&[1, 2, 4, 6, 6]), n.ints(&[1, 8, 6, 6]));
                let r = n.node("Reshape", &[x, &s], none);
                let p = n.node("Transpose", &[&r], |a| a.set_ints("perm", vec![0, 2, 1, 3, 4]));
                (n.node("Reshape", &[&p, &t], none), 8)
            },
            Free,
        ),
        (
            "DepthToSpace",
            &[7, 11, 13],
            |n, x| (n.node("DepthToSpace", &[x], |a| a.set_int("blocksize", 2)), 2),
            Free,
        ),
        (
            "DepthToSpace CRD",
            &[11, 13],
            |n, x| {
                (
                    n.node("DepthToSpace", &[x], |a| {
                        a.set_int("blocksize", 2);
                        set_text(a, "mode", "CRD");
                    }),
                    2,
                )
            },
            Free,
        ),
        (
            "pixel shuffle by Reshape",
            &[13],
            |n, x| {
                let (s, t) = (n.ints(&[1, 2, 2, 2, 6, 6]), n.ints(&[1, 2, 12, 12]));
                let r = n.node("Reshape", &[x, &s], none);
                let p = n.node("Transpose", &[&r], |a| a.set_ints("perm", vec![0, 1, 4, 2, 5, 3]));
                (n.node("Reshape", &[&p, &t], none), 2)
            },
            Free,
        ),
        (
            "SpaceToDepth",
            &[7, 13],
            |n, x| (n.node("SpaceToDepth", &[x], |a| a.set_int("blocksize", 2)), 32),
            Free,
        ),
        (
            "Upsample",
            &[7],
            |n, x| {
                (
                    n.node("Upsample", &[x], |a| {
                        a.attribute.push(snapprune::onnx::proto::AttributeProto {
                            name: Some("scales".into()),
                            r#type: Some(6),
                            floats: vec![1.0, 1.0, 2.0, 2.0],
                            ..Default::default()
                        });
                    }),
                    8,
                )
            },
            Free,
        ),
        (
            "Resize scales with region",
            &[11],
            |n, x| {
                let roi = n.constant(&Tensor::from_f32(vec![0], &[]));
                let s = n.constant(&Tensor::from_f32(vec![4], &[1.0, 1.0, 2.0, 2.0]));
                (n.node("Resize", &[x, &roi, &s], none), 8)
            },
            Free,
        ),
        (
            "Resize sizes with region",
            &[11],
            |n, x| {
                let none_of = n.constant(&Tensor::from_f32(vec![0], &[]));
                let s = n.ints(&[1, 8, 12, 9]);
                (n.node("Resize", &[x, &none_of, &none_of, &s], none), 8)
            },
            Free,
        ),
        (
            "Resize scales",
            &[13, 18, 19],
            |n, x| {
                let s = n.constant(&Tensor::from_f32(vec![4], &[1.0, 1.0, 2.0, 2.0]));
                (n.node("Resize", &[x, "", &s], none), 8)
            },
            Free,
        ),
        (
            "Resize sizes",
            &[13, 18, 19],
            |n, x| {
                let s = n.ints(&[1, 8, 12, 9]);
                (n.node("Resize", &[x, "", "", &s], none), 8)
            },
            Free,
        ),
        (
            "Expand",
            &[8, 13],
            |n, x| {
                let p = n.node("GlobalAveragePool", &[x], none);
                let s = n.ints(&[1, 8, 6, 6]);
                (n.node("Expand", &[&p, &s], none), 8)
            },
            Free,
        ),
        (
            "Tile",
            &[7, 13],
            |n, x| {
                let r = n.ints(&[1, 1, 2, 1]);
                (n.node("Tile", &[x, &r], none), 8)
            },
            Free,
        ),
        (
            "Squeeze and Unsqueeze by attribute",
            &[7, 11],
            |n, x| {
                let p = n.node("GlobalAveragePool", &[x], none);
                let s = n.node("Squeeze", &[&p], |a| a.set_ints("axes", vec![2, 3]));
                (n.node("Unsqueeze", &[&s], |a| a.set_ints("axes", vec![2, 3])), 8)
            },
            Free,
        ),
        (
            "Squeeze and Unsqueeze",
            &[13, 21],
            |n, x| {
                let p = n.node("GlobalAveragePool", &[x], none);
                let a = n.ints(&[2, 3]);
                let s = n.node("Squeeze", &[&p, &a], none);
                (n.node("Unsqueeze", &[&s, &a], none), 8)
            },
            Free,
        ),
        (
            "computed Reshape",
            &[13],
            |n, x| {
                let shape = n.node("Shape", &[x], none);
                let zero = n.constant(&Tensor {
                    dims: vec![],
                    ..Tensor::from_i64(&[0])
                });
                let batch = n.node("Gather", &[&shape, &zero], none);
                let first = n.ints(&[0]);
                let batch = n.node("Unsqueeze", &[&batch, &first], none);
                let rest = n.ints(&[2, 4, 6, 6]);
                let device = n.node("Concat", &[&batch, &rest], |a| a.set_int("axis", 0));
                let r = n.node("Reshape", &[x, &device], none);
                let p = n.node("Transpose", &[&r], |a| a.set_ints("perm", vec![0, 2, 1, 3, 4]));
                let t = n.ints(&[0, 8, 6, 6]);
                (n.node("Reshape", &[&p, &t], none), 8)
            },
            Free,
        ),
    ]
}
