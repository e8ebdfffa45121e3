//! Layers, normalizations, pools and reductions.

use super::{
    Expect::{DeviceTensor, Free, Shrinks},
    Op, none,
};
use crate::common::net::{Net, set_text};
use snapprune::onnx::proto::NodeProto;
use snapprune::onnx::{Attributes, Dtype, Tensor};

fn reduced(net: &mut Net, x: &str, op: &str, as_input: bool) -> (String, usize) {
    let y = if as_input {
        let axes = net.ints(&[2, 3]);
        net.node(op, &[x, &axes], none)
    } else {
        net.node(op, &[x], |n| n.set_ints("axes", vec![2, 3]))
    };
    (y, 8)
}

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
            DeviceTensor,
        ),
        (
            "LRN",
            &[7, 13],
            |n, x| (n.node("LRN", &[x], |a| a.set_int("size", 3)), 8),
            DeviceTensor,
        ),
        (
            "Softmax",
            &[7, 11, 13],
            |n, x| (n.node("Softmax", &[x], |a| a.set_int("axis", 1)), 8),
            DeviceTensor,
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
            "ReduceMean",
            &[7, 11, 13],
            |n, x| reduced(n, x, "ReduceMean", false),
            Free,
        ),
        ("ReduceMean axes", &[18], |n, x| reduced(n, x, "ReduceMean", true), Free),
        ("ReduceSum", &[7, 11], |n, x| reduced(n, x, "ReduceSum", false), Free),
        ("ReduceSum axes", &[13], |n, x| reduced(n, x, "ReduceSum", true), Free),
        (
            "ReduceMax",
            &[7, 12, 13],
            |n, x| reduced(n, x, "ReduceMax", false),
            Free,
        ),
        ("ReduceMin", &[7, 13], |n, x| reduced(n, x, "ReduceMin", false), Free),
        ("ReduceL1", &[7, 13], |n, x| reduced(n, x, "ReduceL1", false), Free),
        ("ReduceL2", &[7, 13], |n, x| reduced(n, x, "ReduceL2", false), Free),
        (
            "ReduceSumSquare",
            &[7, 13],
            |n, x| reduced(n, x, "ReduceSumSquare", false),
            Free,
        ),
        (
            "ReduceMean over channels",
            &[13],
            |n, x| {
                let m = n.node("ReduceMean", &[x], |a| a.set_ints("axes", vec![1]));
                (n.node("Mul", &[x, &m], none), 8)
            },
            DeviceTensor,
        ),
        (
            "ArgMax",
            &[7, 11, 12, 13],
            |n, x| {
                let i = n.node("ArgMax", &[x], |a| a.set_int("axis", 1));
                let f = n.node("Cast", &[&i], |a| a.set_int("to", 1));
                (n.node("Mul", &[x, &f], none), 8)
            },
            DeviceTensor,
        ),
        (
            "TopK",
            &[10, 11],
            |n, x| {
                let k = n.ints(&[8]);
                (n.node_many("TopK", &[x, &k], 2, |a| a.set_int("axis", 1)).remove(0), 8)
            },
            DeviceTensor,
        ),
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
            DeviceTensor,
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
            "GridSample",
            &[16],
            |n, x| {
                let grid = n.conv(x, 8, 2, 3, 1);
                let grid = n.node("Tanh", &[&grid], none);
                let grid = n.node("Transpose", &[&grid], |a| a.set_ints("perm", vec![0, 2, 3, 1]));
                (n.node("GridSample", &[x, &grid], none), 8)
            },
            DeviceTensor,
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
            DeviceTensor,
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
            DeviceTensor,
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
            DeviceTensor,
        ),
        (
            "LpNormalization",
            &[7, 22],
            |n, x| (n.node("LpNormalization", &[x], |a| a.set_int("axis", 1)), 8),
            DeviceTensor,
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
            DeviceTensor,
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
            DeviceTensor,
        ),
        ("ReduceProd", &[7, 13], |n, x| reduced(n, x, "ReduceProd", false), Free),
        (
            "ReduceLogSumExp",
            &[7, 13],
            |n, x| reduced(n, x, "ReduceLogSumExp", false),
            Free,
        ),
        (
            "ReduceLogSum",
            &[7, 13],
            |n, x| {
                let square = n.node("Mul", &[x, x], none);
                let one = n.floats(&[1], 1.0, 1.0);
                let p = n.node("Add", &[&square, &one], none);
                reduced(n, &p, "ReduceLogSum", false)
            },
            Shrinks,
        ),
        (
            "ArgMin",
            &[7, 11, 12, 13],
            |n, x| {
                let i = n.node("ArgMin", &[x], |a| a.set_int("axis", 1));
                let f = n.node("Cast", &[&i], |a| a.set_int("to", 1));
                (n.node("Mul", &[x, &f], none), 8)
            },
            DeviceTensor,
        ),
        (
            "CumSum",
            &[11, 14],
            |n, x| {
                let axis = n.constant(&Tensor {
                    dims: vec![],
                    ..Tensor::from_i64(&[1])
                });
                (n.node("CumSum", &[x, &axis], none), 8)
            },
            DeviceTensor,
        ),
        (
            "CumSum over space",
            &[14],
            |n, x| {
                let axis = n.constant(&Tensor {
                    dims: vec![],
                    ..Tensor::from_i64(&[3])
                });
                (n.node("CumSum", &[x, &axis], none), 8)
            },
            Free,
        ),
    ]
}
