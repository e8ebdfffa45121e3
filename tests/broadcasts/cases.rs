//! Networks with an `Expand`: where it goes, and where it stays.

use snapprune::onnx::proto::{
    ModelProto, NodeProto, tensor_shape_proto::dimension::Value as Dim, type_proto::Value as Kind,
};
use snapprune::onnx::{Attributes, Dtype, Tensor};

use crate::common::net::{Net, body};

pub fn none(_: &mut NodeProto) {}

/// The first extents of all images are open, each with a name of its own.
pub fn with_open_batch(mut model: ModelProto) -> ModelProto {
    for (k, input) in model.graph.as_mut().unwrap().input.iter_mut().enumerate() {
        let Some(Kind::TensorType(tensor)) = input.r#type.as_mut().and_then(|t| t.value.as_mut()) else {
            continue;
        };
        let dims = &mut tensor.shape.as_mut().unwrap().dim;
        if dims.len() == 4 {
            dims[0].value = Some(Dim::DimParam(format!("n{k}")));
        }
    }
    model
}

/// A layer on an image, what `build` makes of its output (n×8×6×6) and of the pooled output (n×8×1×1), and the output of that.
pub fn built(build: impl FnOnce(&mut Net, &str, &str) -> String) -> Net {
    let mut net = Net::new(17, 5);
    let image = net.input("image", &[1, 3, 6, 6]);
    let x = net.conv(&image, 3, 8, 3, 1);
    let pooled = net.node("GlobalAveragePool", &[&x], none);
    let y = build(&mut net, &x, &pooled);
    net.output(&y);
    net
}

pub fn expand_as(net: &mut Net, s: &str, other: &str) -> String {
    let shape = net.node("Shape", &[other], none);
    net.node("Expand", &[s, &shape], none)
}

pub fn expand_to(net: &mut Net, s: &str, target: &[i64]) -> String {
    let target = net.ints(target);
    net.node("Expand", &[s, &target], none)
}

/// The batch of the image and numbers behind it, as newer exporters write targets.
fn expand_to_batch(net: &mut Net, s: &str, image: &str) -> String {
    let batch = net.node("Shape", &[image], |n| {
        n.set_int("start", 0);
        n.set_int("end", 1);
    });
    let rest = net.ints(&[8, 6, 6]);
    let target = net.node("Concat", &[&batch, &rest], |n| n.set_int("axis", 0));
    net.node("Expand", &[s, &target], none)
}

pub type Build = fn(&mut Net, &str, &str) -> String;

/// What goes.
pub const GO: &[(&str, Build)] = &[
    ("ECA as it is exported", |n, x, _| n.eca(x, 3)),
    ("the shape of the other operand", |n, x, s| {
        let e = expand_as(n, s, x);
        n.node("Mul", &[&e, x], none)
    }),
    ("the shape of what the other operand is made from", |n, x, s| {
        let other = n.node("Relu", &[x], none);
        let e = expand_as(n, s, x);
        n.node("Sub", &[&other, &e], none)
    }),
    ("the batch of the image and numbers", |n, x, s| {
        let e = expand_to_batch(n, s, "image");
        let y = n.node("Mul", &[x, &e], none);
        let e = expand_to_batch(n, s, "image");
        n.node("Add", &[&y, &e], none)
    }),
    ("numbers, with 1 for the batch", |n, x, s| {
        let e = expand_to(n, s, &[1, 8, 6, 6]);
        n.node("Max", &[x, &e, s], none)
    }),
    ("a constant of lower rank", |n, x, _| {
        let s = n.floats(&[8, 1, 1], -1.0, 1.0);
        let e = expand_as(n, &s, x);
        let less = n.node("Less", &[&e, x], none);
        n.node("Where", &[&less, &e, x], none)
    }),
    ("two readers", |n, x, s| {
        let e = expand_as(n, s, x);
        let (a, b) = (n.node("Mul", &[x, &e], none), n.node("Div", &[x, &e], none));
        n.node("Add", &[&a, &b], none)
    }),
];

/// What stays.
pub const STAY: &[(&str, Build)] = &[
    ("the other operand does not repeat it", |n, x, s| {
        let bias = n.floats(&[8, 1, 1], -1.0, 1.0);
        let e = expand_as(n, s, x);
        n.node("Add", &[&e, &bias], none)
    }),
    ("the other operand has no such rank", |n, _, _| {
        let (s, row) = (n.floats(&[6], -1.0, 1.0), n.floats(&[6], -1.0, 1.0));
        let e = expand_to(n, &s, &[1, 1, 1, 6]);
        n.node("Add", &[&e, &row], none)
    }),
    ("both operands are written out", |n, x, s| {
        let (a, b) = (expand_as(n, s, x), expand_as(n, s, x));
        n.node("Mul", &[&a, &b], none)
    }),
    ("both operands are the same", |n, x, s| {
        let e = expand_as(n, s, x);
        n.node("Mul", &[&e, &e], none)
    }),
    ("one of two readers is no operator that repeats", |n, x, s| {
        let e = expand_as(n, s, x);
        let y = n.node("Mul", &[x, &e], none);
        n.node("Concat", &[&y, &e], |n| n.set_int("axis", 1))
    }),
    (
        "a power is computed otherwise where the exponent is repeated",
        |n, x, s| {
            let e = expand_as(n, s, x);
            n.node("Pow", &[x, &e], none)
        },
    ),
    ("it is a graph output", |n, x, s| {
        let e = expand_as(n, s, x);
        n.output(&e);
        n.node("Mul", &[x, &e], none)
    }),
    ("a body reads it", |n, x, s| {
        let e = expand_as(n, s, x);
        let reader = |name: &str| NodeProto {
            op_type: Some("Identity".into()),
            input: vec![e.clone()],
            output: vec![name.into()],
            ..Default::default()
        };
        let yes = n.constant(&Tensor {
            dtype: Dtype::Bool,
            dims: vec![],
            bytes: vec![1].into(),
        });
        let read = n.node("If", &[&yes], |n| {
            n.attribute = vec![
                body("then_branch", vec![reader("a")], "a"),
                body("else_branch", vec![reader("b")], "b"),
            ];
        });
        let y = n.node("Mul", &[x, &e], none);
        n.node("Add", &[&y, &read], none)
    }),
    ("the batch is that of another image", |n, x, _| {
        let other = n.input("other", &[1, 8, 6, 6]);
        let s = n.floats(&[1, 8, 1, 1], -1.0, 1.0);
        let e = expand_as(n, &s, &other);
        n.node("Mul", &[x, &e], none)
    }),
    ("the caller says how much of the other operand there is", |n, x, s| {
        let end = n.input_of("end", Dtype::Int64, &[1]);
        let (zero, six, axis) = (n.ints(&[0]), n.ints(&[6]), n.ints(&[3]));
        let end = n.node("Max", &[&end, &six], none);
        let part = n.node("Slice", &[x, &zero, &end, &axis], none);
        let e = expand_to(n, s, &[1, 8, 6, 6]);
        n.node("Mul", &[&part, &e], none)
    }),
    ("the caller says how often", |n, _, _| {
        let often = n.input_of("often", Dtype::Int64, &[1]);
        let one = n.ints(&[1]);
        let often = n.node("Max", &[&often, &one], none);
        let (s, other) = (n.floats(&[1], -1.0, 1.0), n.floats(&[1], -1.0, 1.0));
        let e = n.node("Expand", &[&s, &often], none);
        n.node("Mul", &[&e, &other], none)
    }),
];
