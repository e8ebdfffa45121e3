//! Convolutions of all kinds.

use super::{
    Expect::{Fixed, Free},
    Op, none,
};
use snapprune::onnx::Attributes;
use snapprune::onnx::Tensor;

pub(super) fn cases() -> Vec<Op> {
    vec![
        ("Conv", &[7, 11, 22], |n, x| (n.conv(x, 8, 6, 3, 1), 6), Free),
        ("Conv depthwise", &[11], |n, x| (n.conv(x, 8, 8, 3, 8), 8), Free),
        (
            "Conv depth multiplier",
            &[11],
            |n, x| (n.conv(x, 8, 16, 3, 8), 16),
            Free,
        ),
        ("Conv grouped", &[11], |n, x| (n.conv(x, 8, 12, 3, 2), 12), Free),
        (
            "ConvTranspose",
            &[7, 11, 22],
            |n, x| {
                let w = n.weights(&[8, 5, 2, 2]);
                (
                    n.node("ConvTranspose", &[x, &w], |a| a.set_ints("strides", vec![2, 2])),
                    5,
                )
            },
            Free,
        ),
        (
            "ConvTranspose grouped",
            &[11],
            |n, x| {
                let w = n.weights(&[8, 3, 2, 2]);
                (
                    n.node("ConvTranspose", &[x, &w], |a| {
                        a.set_ints("strides", vec![2, 2]);
                        a.set_int("group", 2);
                    }),
                    6,
                )
            },
            Free,
        ),
        (
            "ConvTranspose depthwise",
            &[11],
            |n, x| {
                let w = n.weights(&[8, 1, 2, 2]);
                (
                    n.node("ConvTranspose", &[x, &w], |a| {
                        a.set_ints("strides", vec![2, 2]);
                        a.set_int("group", 8);
                    }),
                    8,
                )
            },
            Free,
        ),
        (
            "Conv in one dimension",
            &[11],
            |n, x| {
                let (s, t) = (n.ints(&[1, 8, 36]), n.ints(&[1, 5, 6, 6]));
                let r = n.node("Reshape", &[x, &s], none);
                let w = n.weights(&[5, 8, 3]);
                let y = n.node("Conv", &[&r, &w], |a| a.set_ints("pads", vec![1, 1]));
                (n.node("Reshape", &[&y, &t], none), 5)
            },
            Free,
        ),
        (
            "ConvTranspose depthwise in one dimension",
            &[11],
            |n, x| {
                let (s, t) = (n.ints(&[1, 8, 36]), n.ints(&[1, 8, 6, 18]));
                let r = n.node("Reshape", &[x, &s], none);
                let w = n.weights(&[8, 1, 6]);
                let y = n.node("ConvTranspose", &[&r, &w], |a| {
                    a.set_int("group", 8);
                    a.set_ints("strides", vec![3]);
                    a.set_ints("pads", vec![2, 2]);
                    a.set_ints("output_padding", vec![1]);
                });
                (n.node("Reshape", &[&y, &t], none), 8)
            },
            Free,
        ),
        (
            "GridSample",
            &[16, 20, 22],
            |n, x| {
                let grid = n.conv(x, 8, 2, 3, 1);
                let grid = n.node("Tanh", &[&grid], none);
                let grid = n.node("Transpose", &[&grid], |a| a.set_ints("perm", vec![0, 2, 3, 1]));
                (n.node("GridSample", &[x, &grid], none), 8)
            },
            Free,
        ),
        (
            "GridSample of volumes",
            &[20, 22],
            |n, x| {
                let grid = n.floats(&[1, 1, 6, 6, 3], -1.0, 1.0);
                let (volume, map) = (n.ints(&[2]), n.ints(&[2]));
                let x = n.node("Unsqueeze", &[x, &volume], none);
                let y = n.node("GridSample", &[&x, &grid], none);
                (n.node("Squeeze", &[&y, &map], none), 8)
            },
            Free,
        ),
        (
            "DeformConv",
            &[19],
            |n, x| {
                let offsets = n.conv(x, 8, 18, 3, 1);
                let w = n.weights(&[6, 8, 3, 3]);
                (
                    n.node("DeformConv", &[x, &w, &offsets], |a| a.set_ints("pads", vec![1; 4])),
                    6,
                )
            },
            Fixed,
        ),
        (
            "Conv in three dimensions",
            &[11],
            |n, x| {
                let (s, t) = (n.ints(&[1, 8, 2, 3, 6]), n.ints(&[1, 5, 6, 6]));
                let r = n.node("Reshape", &[x, &s], none);
                let w = n.weights(&[5, 8, 3, 3, 3]);
                let y = n.node("Conv", &[&r, &w], |a| a.set_ints("pads", vec![1; 6]));
                (n.node("Reshape", &[&y, &t], none), 5)
            },
            Free,
        ),
        (
            "Conv with weights in a Constant node",
            &[13],
            |n, x| {
                let tensor = Tensor::from_f32(vec![5, 8, 1, 1], &[0.3, -0.2, 0.1, 0.4, -0.5, 0.2, 0.6, -0.1].repeat(5));
                let w = n.node("Constant", &[], |a| {
                    a.attribute.push(snapprune::onnx::proto::AttributeProto {
                        name: Some("value".into()),
                        r#type: Some(4),
                        t: Some(tensor.to_proto("")),
                        ..Default::default()
                    });
                });
                (n.node("Conv", &[x, &w], none), 5)
            },
            Free,
        ),
    ]
}
