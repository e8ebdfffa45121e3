//! Reductions and selections.

use super::{
    Expect::{Fixed, Free, GrowsAtEnd, Shrinks},
    Op, none,
};
use crate::common::net::Net;
use snapprune::onnx::Attributes;
use snapprune::onnx::Tensor;

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
            Fixed,
        ),
        (
            "ArgMax",
            &[7, 11, 12, 13],
            |n, x| {
                let i = n.node("ArgMax", &[x], |a| a.set_int("axis", 1));
                let f = n.node("Cast", &[&i], |a| a.set_int("to", 1));
                (n.node("Mul", &[x, &f], none), 8)
            },
            Fixed,
        ),
        (
            "TopK",
            &[10, 11],
            |n, x| {
                let k = n.ints(&[8]);
                (n.node_many("TopK", &[x, &k], 2, |a| a.set_int("axis", 1)).remove(0), 8)
            },
            Fixed,
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
            Fixed,
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
            GrowsAtEnd,
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
