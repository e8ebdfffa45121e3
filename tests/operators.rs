//! Every operator with a rule, at its since-versions: growth keeps the outputs, pruning equals masking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::net::{Net, set_float, set_text};
use common::{Case, cpu, difference};
use snapprune::onnx::proto::NodeProto;
use snapprune::onnx::{Attributes, Dtype, Tensor, encode};
use snapprune::target::Target;

/// What must come of the width in front of the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expect {
    /// Grows and shrinks.
    Free,
    /// Shrinks only.
    Shrinks,
    /// Stays, with a reason.
    Held,
}
use Expect::{Free, Held, Shrinks};

/// Adds the operator behind `x` (1×8×6×6) and gives its output with the channels that it has.
type Build = fn(&mut Net, &str) -> (String, usize);

fn none(_: &mut NodeProto) {}

fn unary(net: &mut Net, x: &str, op: &str) -> (String, usize) {
    (net.node(op, &[x], none), 8)
}

macro_rules! unary_cases {
    ($list:ident: $($op:literal $opsets:expr),* $(,)?) => {
        $($list.push(($op, &$opsets, |n, x| unary(n, x, $op), Free));)*
    };
}

macro_rules! constant_cases {
    ($list:ident: $($op:literal $opsets:expr, $expect:expr);* $(;)?) => {
        $($list.push(($op, &$opsets, |n, x| {
            let c = n.floats(&[8, 1, 1], 0.5, 1.5);
            (n.node($op, &[x, &c], none), 8)
        }, $expect));)*
    };
}

/// Makes values positive, for operators that want them so.
fn positive(net: &mut Net, x: &str) -> String {
    let one = net.floats(&[1], 1.0, 1.0);
    let square = net.node("Mul", &[x, x], none);
    net.node("Add", &[&square, &one], none)
}

fn reduced(net: &mut Net, x: &str, op: &str, as_input: bool) -> (String, usize) {
    let y = if as_input {
        let axes = net.ints(&[2, 3]);
        net.node(op, &[x, &axes], none)
    } else {
        net.node(op, &[x], |n| n.set_ints("axes", vec![2, 3]))
    };
    (y, 8)
}

#[allow(clippy::type_complexity)]
fn cases() -> Vec<(&'static str, &'static [i64], Build, Expect)> {
    let mut list: Vec<(&'static str, &'static [i64], Build, Expect)> = Vec::new();
    unary_cases!(list:
        "Relu" [7, 13, 14], "Elu" [7, 22], "Selu" [7, 22], "Sigmoid" [7, 13], "HardSigmoid" [7, 22],
        "Tanh" [7, 13], "Softplus" [7, 22], "Softsign" [7, 22], "LeakyRelu" [7, 16], "ThresholdedRelu" [10, 22],
        "Celu" [12], "HardSwish" [14, 22], "Mish" [18, 22], "Gelu" [20], "Shrink" [9], "Erf" [9, 13],
        "Abs" [7, 13], "Neg" [7, 13], "Sign" [9, 13], "Exp" [7, 13], "Sin" [7, 22], "Cos" [7, 22], "Atan" [7, 22],
        "Sinh" [9, 22], "Cosh" [9, 22], "Asinh" [9, 22], "Floor" [7, 13], "Ceil" [7, 13], "Round" [11, 22],
        "Identity" [7, 13, 14, 16, 19, 21], "Dropout" [7, 10, 12, 13, 22], "GlobalAveragePool" [7, 22],
        "GlobalMaxPool" [7, 22], "GlobalLpPool" [7],
    );
    constant_cases!(list:
        "Add" [7, 13, 14], Free; "Sub" [7, 13, 14], Free; "Mul" [7, 13, 14], Free; "Div" [7, 13, 14], Free;
        "Min" [8, 12, 13], Free; "Max" [8, 12, 13], Free; "Mean" [8, 13], Free; "Sum" [8, 13], Free;
        "PRelu" [7, 9, 16], Free;
    );
    let more: Vec<(&'static str, &'static [i64], Build, Expect)> = vec![
        (
            "Sqrt",
            &[7, 13],
            |n, x| {
                let p = positive(n, x);
                (n.node("Sqrt", &[&p], none), 8)
            },
            Free,
        ),
        (
            "Log",
            &[7, 13],
            |n, x| {
                let p = positive(n, x);
                (n.node("Log", &[&p], none), 8)
            },
            Shrinks,
        ),
        (
            "Reciprocal",
            &[7, 13],
            |n, x| {
                let p = positive(n, x);
                (n.node("Reciprocal", &[&p], none), 8)
            },
            Shrinks,
        ),
        (
            "Pow",
            &[7, 12, 13, 15],
            |n, x| {
                let e = n.floats(&[1], 2.0, 2.0);
                (n.node("Pow", &[x, &e], none), 8)
            },
            Free,
        ),
        (
            "Div by activation",
            &[13],
            |n, x| {
                let p = positive(n, x);
                (n.node("Div", &[x, &p], none), 8)
            },
            Shrinks,
        ),
        (
            "Clip by attribute",
            &[7],
            |n, x| {
                (
                    n.node("Clip", &[x], |a| {
                        set_float(a, "min", -0.5);
                        set_float(a, "max", 0.5);
                    }),
                    8,
                )
            },
            Free,
        ),
        (
            "Clip",
            &[11, 12, 13],
            |n, x| {
                let (lo, hi) = (
                    Tensor::from_f32(vec![], &[-0.5]),
                    Tensor::from_f32(vec![], &[0.5]),
                );
                let (lo, hi) = (n.constant(&lo), n.constant(&hi));
                (n.node("Clip", &[x, &lo, &hi], none), 8)
            },
            Free,
        ),
        (
            "Cast",
            &[9, 13, 19],
            |n, x| {
                let d = n.node("Cast", &[x], |a| a.set_int("to", 11));
                (n.node("Cast", &[&d], |a| a.set_int("to", 1)), 8)
            },
            Free,
        ),
        (
            "Where",
            &[9, 16],
            |n, x| {
                let zero = n.floats(&[1], 0.0, 0.0);
                let test = n.node("Greater", &[x, &zero], none);
                let other = n.floats(&[8, 1, 1], -1.0, 1.0);
                (n.node("Where", &[&test, x, &other], none), 8)
            },
            Free,
        ),
        (
            "SiLU",
            &[13],
            |n, x| {
                let s = n.node("Sigmoid", &[x], none);
                (n.node("Mul", &[x, &s], none), 8)
            },
            Free,
        ),
        (
            "GELU",
            &[13],
            |n, x| {
                let (r, one, half) = (
                    n.floats(&[1], 1.4142, 1.4142),
                    n.floats(&[1], 1.0, 1.0),
                    n.floats(&[1], 0.5, 0.5),
                );
                let d = n.node("Div", &[x, &r], none);
                let e = n.node("Erf", &[&d], none);
                let a = n.node("Add", &[&e, &one], none);
                let m = n.node("Mul", &[x, &a], none);
                (n.node("Mul", &[&m, &half], none), 8)
            },
            Free,
        ),
        (
            "Conv",
            &[7, 11, 22],
            |n, x| (n.conv(x, 8, 6, 3, 1), 6),
            Free,
        ),
        (
            "Conv depthwise",
            &[11],
            |n, x| (n.conv(x, 8, 8, 3, 8), 8),
            Free,
        ),
        (
            "Conv depth multiplier",
            &[11],
            |n, x| (n.conv(x, 8, 16, 3, 8), 16),
            Free,
        ),
        (
            "Conv grouped",
            &[11],
            |n, x| (n.conv(x, 8, 12, 3, 2), 12),
            Free,
        ),
        (
            "ConvTranspose",
            &[7, 11, 22],
            |n, x| {
                let w = n.weights(&[8, 5, 2, 2]);
                (
                    n.node("ConvTranspose", &[x, &w], |a| {
                        a.set_ints("strides", vec![2, 2])
                    }),
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
                    n.node("GroupNormalization", &[x, &s, &b], |a| {
                        a.set_int("num_groups", 4)
                    }),
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
                let (scale, bias) = (
                    n.floats(&[8, 1, 1], 0.5, 1.5),
                    n.floats(&[8, 1, 1], -0.5, 0.5),
                );
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
                (
                    n.node("Transpose", &[&l], |a| a.set_ints("perm", vec![0, 3, 1, 2])),
                    8,
                )
            },
            Held,
        ),
        (
            "LRN",
            &[7, 13],
            |n, x| (n.node("LRN", &[x], |a| a.set_int("size", 3)), 8),
            Held,
        ),
        (
            "Softmax",
            &[7, 11, 13],
            |n, x| (n.node("Softmax", &[x], |a| a.set_int("axis", 1)), 8),
            Held,
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
            |n, x| {
                (
                    n.node("LpPool", &[x], |a| a.set_ints("kernel_shape", vec![2, 2])),
                    8,
                )
            },
            Free,
        ),
        (
            "ReduceMean",
            &[7, 11, 13],
            |n, x| reduced(n, x, "ReduceMean", false),
            Free,
        ),
        (
            "ReduceMean axes",
            &[18],
            |n, x| reduced(n, x, "ReduceMean", true),
            Free,
        ),
        (
            "ReduceSum",
            &[7, 11],
            |n, x| reduced(n, x, "ReduceSum", false),
            Free,
        ),
        (
            "ReduceSum axes",
            &[13],
            |n, x| reduced(n, x, "ReduceSum", true),
            Free,
        ),
        (
            "ReduceMax",
            &[7, 12, 13],
            |n, x| reduced(n, x, "ReduceMax", false),
            Free,
        ),
        (
            "ReduceMin",
            &[7, 13],
            |n, x| reduced(n, x, "ReduceMin", false),
            Free,
        ),
        (
            "ReduceL1",
            &[7, 13],
            |n, x| reduced(n, x, "ReduceL1", false),
            Free,
        ),
        (
            "ReduceL2",
            &[7, 13],
            |n, x| reduced(n, x, "ReduceL2", false),
            Free,
        ),
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
            Held,
        ),
        (
            "ArgMax",
            &[7, 11, 12, 13],
            |n, x| {
                let i = n.node("ArgMax", &[x], |a| a.set_int("axis", 1));
                let f = n.node("Cast", &[&i], |a| a.set_int("to", 1));
                (n.node("Mul", &[x, &f], none), 8)
            },
            Held,
        ),
        (
            "TopK",
            &[10, 11],
            |n, x| {
                let k = n.ints(&[8]);
                (
                    n.node_many("TopK", &[x, &k], 2, |a| a.set_int("axis", 1))
                        .remove(0),
                    8,
                )
            },
            Held,
        ),
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
                (
                    n.node("Concat", &[&p[0], &p[1], &p[0]], |a| a.set_int("axis", 1)),
                    11,
                )
            },
            Free,
        ),
        (
            "Split by input",
            &[13],
            |n, x| {
                let s = n.ints(&[3, 5]);
                let p = n.node_many("Split", &[x, &s], 2, |a| a.set_int("axis", 1));
                (
                    n.node("Concat", &[&p[1], &p[0]], |a| a.set_int("axis", 1)),
                    8,
                )
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
                (
                    n.node("Concat", &[&p[1], &p[0], x], |a| a.set_int("axis", 1)),
                    16,
                )
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
            "Slice with steps",
            &[13],
            |n, x| {
                let (s, e, a, t) = (n.ints(&[0]), n.ints(&[8]), n.ints(&[1]), n.ints(&[2]));
                (n.node("Slice", &[x, &s, &e, &a, &t], none), 4)
            },
            Held,
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
                    n.node("Pad", &[x], |a| {
                        a.set_ints("pads", vec![0, 2, 1, 1, 0, 3, 1, 1])
                    }),
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
                (
                    n.node("Pad", &[x, &p], |a| set_text(a, "mode", "reflect")),
                    8,
                )
            },
            Free,
        ),
        (
            "channel shuffle",
            &[7, 13, 14, 19, 21],
            |n, x| {
                let (s, t) = (n.ints(&[1, 2, 4, 6, 6]), n.ints(&[1, 8, 6, 6]));
                let r = n.node("Reshape", &[x, &s], none);
                let p = n.node("Transpose", &[&r], |a| {
                    a.set_ints("perm", vec![0, 2, 1, 3, 4])
                });
                (n.node("Reshape", &[&p, &t], none), 8)
            },
            Free,
        ),
        (
            "DepthToSpace",
            &[7, 11, 13],
            |n, x| {
                (
                    n.node("DepthToSpace", &[x], |a| a.set_int("blocksize", 2)),
                    2,
                )
            },
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
                let p = n.node("Transpose", &[&r], |a| {
                    a.set_ints("perm", vec![0, 1, 4, 2, 5, 3])
                });
                (n.node("Reshape", &[&p, &t], none), 2)
            },
            Free,
        ),
        (
            "SpaceToDepth",
            &[7, 13],
            |n, x| {
                (
                    n.node("SpaceToDepth", &[x], |a| a.set_int("blocksize", 2)),
                    32,
                )
            },
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
                (
                    n.node("Unsqueeze", &[&s], |a| a.set_ints("axes", vec![2, 3])),
                    8,
                )
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
                let target = n.node("Concat", &[&batch, &rest], |a| a.set_int("axis", 0));
                let r = n.node("Reshape", &[x, &target], none);
                let p = n.node("Transpose", &[&r], |a| {
                    a.set_ints("perm", vec![0, 2, 1, 3, 4])
                });
                let t = n.ints(&[0, 8, 6, 6]);
                (n.node("Reshape", &[&p, &t], none), 8)
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
                    n.node("Einsum", &[x, &w], |a| {
                        set_text(a, "equation", "nchw,cd->ndhw")
                    }),
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
            "QuantizeLinear",
            &[10, 13, 19, 21],
            |n, x| {
                let scale = n.constant(&Tensor::from_f32(vec![], &[0.02]));
                let zero = n.constant(&Tensor {
                    dims: vec![],
                    dtype: Dtype::Uint8,
                    bytes: vec![128],
                });
                let q = n.node("QuantizeLinear", &[x, &scale, &zero], none);
                (n.node("DequantizeLinear", &[&q, &scale, &zero], none), 8)
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
            |n, x| {
                (
                    n.node("Gelu", &[x], |a| a.domain = Some("com.microsoft".into())),
                    8,
                )
            },
            Held,
        ),
    ];
    list.extend(more);
    list
}

fn net(opset: i64, build: Build) -> snapprune::onnx::proto::ModelProto {
    let mut net = Net::new(opset, 3);
    let image = net.input("image", &[1, 3, 6, 6]);
    let x = net.conv(&image, 3, 8, 3, 1);
    let (y, channels) = build(&mut net, &x);
    let out = net.conv(&y, channels, 4, 1, 1);
    net.output(&out);
    let mut model = net.model();
    if model
        .graph
        .as_ref()
        .is_some_and(|g| g.node.iter().any(|n| n.domain() == "com.microsoft"))
    {
        model
            .opset_import
            .push(snapprune::onnx::proto::OperatorSetIdProto {
                domain: Some("com.microsoft".into()),
                version: Some(1),
            });
    }
    model
}

#[test]
fn every_operator_follows_its_rule() {
    let mut failures = Vec::new();
    for (name, opsets, build, expect) in cases() {
        for &opset in opsets {
            if let Err(what) = check(opset, build, expect) {
                failures.push(format!("{name} at opset {opset}: {what}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check(opset: i64, build: Build, expect: Expect) -> Result<(), String> {
    let case = Case::new(&net(opset, build))?;
    let first = case
        .analysis
        .groups
        .iter()
        .find(|g| g.producers.first() == Some(&0));
    let first = first.ok_or("no group for the first layer")?;
    let found = match (&first.lock, first.can_grow()) {
        (Some(lock), _) if lock.reason.is_empty() => return Err("held without a reason".into()),
        (Some(_), _) => Held,
        (None, true) => Free,
        (None, false) => Shrinks,
    };
    if found != expect {
        return Err(format!(
            "{expect:?} expected, {found:?}: {:?} {:?}",
            first.lock, first.no_growth
        ));
    }
    let before = case.run(&case.proto, 2)?;
    let plain = cpu()
        .outputs_plain(&encode(&case.proto), &case.inputs(2))
        .map_err(|e| e.to_string())?;
    let grown = case.run(&case.apply(&case.grow_all(0.3))?, 2)?;
    let growth = difference(&before, &grown, &plain);
    if growth.beyond_rounding > 1e-5 {
        return Err(format!("growth changes the outputs: {growth:?}"));
    }
    if expect == Held {
        return Ok(());
    }
    for seed in 0..3 {
        let change = case.prune_all(0.3, &mut fastrand::Rng::with_seed(seed));
        let masked = case.masked(&change.removed);
        let want = case.run(&masked, 2)?;
        let rounding = cpu()
            .outputs_plain(&encode(&masked), &case.inputs(2))
            .map_err(|e| e.to_string())?;
        let pruned = case.run(&case.apply(&change)?, 2)?;
        let pruning = difference(&want, &pruned, &rounding);
        if pruning.beyond_rounding > 1e-5 {
            return Err(format!("pruning differs from masking: {pruning:?}"));
        }
    }
    Ok(())
}
