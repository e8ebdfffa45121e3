//! Several operators together: what a width goes through within a block.

use super::{
    Expect::{Fixed, Free},
    Op, none,
};
use crate::common::net::{Net, set_text};
use snapprune::onnx::Attributes;
use snapprune::onnx::proto::NodeProto;
use snapprune::onnx::{Dtype, Tensor};

pub(super) fn cases() -> Vec<Op> {
    vec![
        (
            "Flatten and Gemm",
            &[7, 9, 11, 13],
            |n, x| {
                let f = n.node("Flatten", &[x], none);
                let (w, b) = (n.weights(&[5, 288]), n.floats(&[5], -1.0, 1.0));
                let g = n.node("Gemm", &[&f, &w, &b], |a| a.set_int("transB", 1));
                let s = n.ints(&[1, 5, 1, 1]);
                (n.node("Reshape", &[&g, &s], none), 5)
            },
            Free,
        ),
        (
            "Reshape and MatMul",
            &[7, 9, 13],
            |n, x| {
                let s = n.ints(&[1, -1]);
                let f = n.node("Reshape", &[x, &s], none);
                let w = n.weights(&[288, 5]);
                let g = n.node("MatMul", &[&f, &w], none);
                let s = n.ints(&[1, 5, 1, 1]);
                (n.node("Reshape", &[&g, &s], none), 5)
            },
            Free,
        ),
        (
            "token MLP",
            &[13],
            |n, x| {
                let s = n.ints(&[1, 8, 36]);
                let r = n.node("Reshape", &[x, &s], none);
                let t = n.node("Transpose", &[&r], |a| a.set_ints("perm", vec![0, 2, 1]));
                let (w, v) = (n.weights(&[8, 16]), n.weights(&[16, 8]));
                let h = n.node("MatMul", &[&t, &w], none);
                let h = n.node("Relu", &[&h], none);
                let h = n.node("MatMul", &[&h, &v], none);
                let h = n.node("Add", &[&h, &t], none);
                let t = n.node("Transpose", &[&h], |a| a.set_ints("perm", vec![0, 2, 1]));
                let s = n.ints(&[1, 8, 6, 6]);
                (n.node("Reshape", &[&t, &s], none), 8)
            },
            Free,
        ),
        (
            "Einsum",
            &[12],
            |n, x| {
                let w = n.weights(&[8, 5]);
                (
                    n.node("Einsum", &[x, &w], |a| set_text(a, "equation", "nchw,cd->ndhw")),
                    5,
                )
            },
            Free,
        ),
        (
            "squeeze-excite",
            &[13],
            |n, x| {
                let p = n.node("GlobalAveragePool", &[x], none);
                let a = n.conv(&p, 8, 4, 1, 1);
                let a = n.node("Relu", &[&a], none);
                let b = n.conv(&a, 4, 8, 1, 1);
                let s = n.node("HardSigmoid", &[&b], none);
                (n.node("Mul", &[x, &s], none), 8)
            },
            Free,
        ),
        (
            "quantized weights",
            &[13, 19],
            |n, x| {
                let bytes = (0..48).map(|i| (i * 37 % 251) as u8).collect();
                let w = n.constant(&Tensor {
                    dims: vec![6, 8, 1, 1],
                    dtype: Dtype::Int8,
                    bytes,
                });
                let scale = n.floats(&[6], 0.01, 0.02);
                let w = n.node("DequantizeLinear", &[&w, &scale], |a| a.set_int("axis", 0));
                (n.node("Conv", &[x, &w], none), 6)
            },
            Free,
        ),
        (
            "custom domain",
            &[13],
            |n, x| (n.node("Gelu", &[x], |a| a.domain = Some("com.microsoft".into())), 8),
            Fixed,
        ),
        (
            "Two towers that share weights",
            &[13],
            |n, x| {
                let (w, b) = (n.weights(&[6, 8, 3, 3]), n.floats(&[6], -0.3, 0.3));
                let other = n.node("Neg", &[x], none);
                let [p, q] = [x, &other].map(|x| n.node("Conv", &[x, &w, &b], none));
                let d = n.node("Sub", &[&p, &q], none);
                (n.node("Abs", &[&d], none), 6)
            },
            Free,
        ),
        (
            "Weights that are shared through Identity",
            &[13],
            |n, x| {
                let (w, b) = (n.weights(&[8, 8, 3, 3]), n.floats(&[8], -0.3, 0.3));
                let (v, c) = (n.node("Identity", &[&w], none), n.node("Identity", &[&b], none));
                let y = n.node("Conv", &[x, &w, &b], |a| a.set_ints("pads", vec![1; 4]));
                (n.node("Conv", &[&y, &v, &c], |a| a.set_ints("pads", vec![1; 4])), 8)
            },
            Free,
        ),
        (
            "Reshape to rows that are counted",
            &[11],
            |n, x| {
                let shape = n.node("Shape", &[x], none);
                let (first, rest, back) = (n.ints(&[0]), n.ints(&[-1]), n.ints(&[1, 5, 1, 1]));
                let rows = n.node("Gather", &[&shape, &first], none);
                let device = n.node("Concat", &[&rows, &rest], |a| a.set_int("axis", 0));
                let flat = n.node("Reshape", &[x, &device], none);
                let w = n.weights(&[5, 288]);
                let b = n.floats(&[5], -0.3, 0.3);
                let y = n.node("Gemm", &[&flat, &w, &b], |a| a.set_int("transB", 1));
                (n.node("Reshape", &[&y, &back], none), 5)
            },
            Free,
        ),
        (
            "If that reads the width",
            &[13],
            |n, x| {
                let body = |n: &mut Net, out: &str, op: &str| snapprune::onnx::proto::GraphProto {
                    name: Some(n.fresh("body")),
                    node: vec![NodeProto {
                        op_type: Some(op.into()),
                        input: vec![x.into()],
                        output: vec![out.into()],
                        ..Default::default()
                    }],
                    output: vec![snapprune::onnx::proto::ValueInfoProto {
                        name: Some(out.into()),
                        ..Default::default()
                    }],
                    ..Default::default()
                };
                let test = n.constant(&Tensor {
                    dims: vec![],
                    dtype: Dtype::Bool,
                    bytes: vec![1].into(),
                });
                let (yes, no) = (body(n, "then_out", "Relu"), body(n, "else_out", "Neg"));
                let y = n.node("If", &[&test], |a| {
                    for (name, graph) in [("then_branch", yes), ("else_branch", no)] {
                        a.attribute.push(snapprune::onnx::proto::AttributeProto {
                            name: Some(name.into()),
                            r#type: Some(5),
                            g: Some(graph),
                            ..Default::default()
                        });
                    }
                });
                (y, 8)
            },
            Fixed,
        ),
    ]
}
