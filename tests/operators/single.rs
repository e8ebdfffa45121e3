//! Operators on single elements.

use super::{
    Expect::{Free, Shrinks},
    Op, none,
};
use crate::common::net::{Net, set_float};
use snapprune::onnx::{Attributes, Dtype, Tensor};

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

pub(super) fn cases() -> Vec<Op> {
    let mut list: Vec<Op> = Vec::new();
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
    list.extend(more());
    list
}

fn more() -> Vec<Op> {
    vec![
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
                let (lo, hi) = (Tensor::from_f32(vec![], &[-0.5]), Tensor::from_f32(vec![], &[0.5]));
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
                    n.floats(&[1], std::f32::consts::SQRT_2, std::f32::consts::SQRT_2),
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
            "QuantizeLinear",
            &[10, 13, 19, 21],
            |n, x| {
                let scale = n.constant(&Tensor::from_f32(vec![], &[0.02]));
                let zero = n.constant(&Tensor {
                    dims: vec![],
                    dtype: Dtype::Uint8,
                    bytes: vec![128].into(),
                });
                let q = n.node("QuantizeLinear", &[x, &scale, &zero], none);
                (n.node("DequantizeLinear", &[&q, &scale, &zero], none), 8)
            },
            Free,
        ),
        (
            "HardSwish spelled out",
            &[13],
            |n, x| {
                let (three, zero, six) = (
                    n.floats(&[1], 3.0, 3.0),
                    n.floats(&[], 0.0, 0.0),
                    n.floats(&[], 6.0, 6.0),
                );
                let a = n.node("Add", &[x, &three], none);
                let c = n.node("Clip", &[&a, &zero, &six], none);
                let m = n.node("Mul", &[x, &c], none);
                let by = n.floats(&[1], 6.0, 6.0);
                (n.node("Div", &[&m, &by], none), 8)
            },
            Free,
        ),
        (
            "CastLike",
            &[15, 19],
            |n, x| {
                let like = n.constant(&Tensor {
                    dims: vec![],
                    dtype: Dtype::Double,
                    bytes: 1f64.to_le_bytes().to_vec().into(),
                });
                let d = n.node("CastLike", &[x, &like], none);
                (n.node("Cast", &[&d], |a| a.set_int("to", 1)), 8)
            },
            Free,
        ),
        (
            "comparisons and logic",
            &[7, 9, 11, 13],
            |n, x| {
                let (zero, one) = (n.floats(&[8, 1, 1], -0.2, 0.2), n.floats(&[1], 0.5, 0.5));
                let (a, b) = (n.node("Greater", &[x, &zero], none), n.node("Less", &[x, &one], none));
                let both = n.node("And", &[&a, &b], none);
                let either = n.node("Or", &[&a, &b], none);
                let one_of = n.node("Xor", &[&both, &either], none);
                let not = n.node("Not", &[&one_of], none);
                let f = n.node("Cast", &[&not], |a| a.set_int("to", 1));
                (n.node("Mul", &[x, &f], none), 8)
            },
            Free,
        ),
        (
            "comparisons with equality",
            &[12, 16],
            |n, x| {
                let zero = n.floats(&[8, 1, 1], -0.2, 0.2);
                let (a, b) = (
                    n.node("GreaterOrEqual", &[x, &zero], none),
                    n.node("LessOrEqual", &[x, &zero], none),
                );
                let same = n.node("Equal", &[&a, &b], none);
                let f = n.node("Cast", &[&same], |a| a.set_int("to", 1));
                (n.node("Add", &[x, &f], none), 8)
            },
            Free,
        ),
        (
            "bits",
            &[18],
            |n, x| {
                let ten = n.floats(&[1], 10.0, 10.0);
                let big = n.node("Mul", &[x, &ten], none);
                let i = n.node("Cast", &[&big], |a| a.set_int("to", 6));
                let three = n.constant(&Tensor {
                    dims: vec![1],
                    dtype: Dtype::Int32,
                    bytes: 3i32.to_le_bytes().to_vec().into(),
                });
                let a = n.node("BitwiseAnd", &[&i, &three], none);
                let o = n.node("BitwiseOr", &[&a, &i], none);
                let e = n.node("BitwiseXor", &[&o, &three], none);
                let not = n.node("BitwiseNot", &[&e], none);
                (n.node("Cast", &[&not], |a| a.set_int("to", 1)), 8)
            },
            Free,
        ),
        (
            "IsNaN and IsInf",
            &[10, 20],
            |n, x| {
                let a = n.node("IsNaN", &[x], none);
                let b = n.node("IsInf", &[x], none);
                let both = n.node("Or", &[&a, &b], none);
                let f = n.node("Cast", &[&both], |a| a.set_int("to", 1));
                (n.node("Add", &[x, &f], none), 8)
            },
            Free,
        ),
        (
            "Mod",
            &[10, 13],
            |n, x| {
                let by = n.floats(&[8, 1, 1], 0.5, 1.5);
                (n.node("Mod", &[x, &by], |a| a.set_int("fmod", 1)), 8)
            },
            Free,
        ),
        ("Swish", &[24], |n, x| (n.node("Swish", &[x], none), 8), Free),
        (
            "bounded trigonometry",
            &[7, 9, 22],
            |n, x| {
                let t = n.node("Tanh", &[x], none);
                let half = n.floats(&[1], 0.5, 0.5);
                let h = n.node("Mul", &[&t, &half], none);
                let (a, b) = (n.node("Acos", &[&h], none), n.node("Asin", &[&h], none));
                let c = n.node("Tan", &[&h], none);
                let s = n.node("Add", &[&a, &b], none);
                (n.node("Mul", &[&s, &c], none), 8)
            },
            Free,
        ),
        (
            "Atanh",
            &[9, 22],
            |n, x| {
                let t = n.node("Tanh", &[x], none);
                let half = n.floats(&[1], 0.5, 0.5);
                let h = n.node("Mul", &[&t, &half], none);
                (n.node("Atanh", &[&h], none), 8)
            },
            Free,
        ),
        (
            "Acosh",
            &[9, 22],
            |n, x| {
                let p = positive(n, x);
                (n.node("Acosh", &[&p], none), 8)
            },
            Shrinks,
        ),
    ]
}
