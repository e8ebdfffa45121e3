//! Wrong nodes, attributes, inputs and outputs.

use super::{Case, graph, node};
use snapprune::onnx::Attributes;
use snapprune::onnx::proto::attribute_proto::AttributeType;
use snapprune::onnx::proto::tensor_shape_proto::dimension::Value as Dim;
use snapprune::onnx::proto::type_proto::Value as Kind;
use snapprune::onnx::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto};

pub(super) const CASES: &[Case] = &[
    (
        "a weight that is not there",
        |m| {
            let n = node(m, 0).input[1].clone();
            graph(m).initializer.retain(|t| t.name() != n);
        },
        "which nothing makes",
    ),
    (
        "an input that is not there",
        |m| node(m, 1).input[0] = "nowhere".into(),
        "node node1 uses 'nowhere', which nothing makes",
    ),
    (
        "a cycle of three, in reverse",
        |m| {
            let made = node(m, 4).output[0].clone();
            node(m, 2).input[0] = made;
            graph(m).node.reverse();
        },
        "has a cycle: node4 uses 'v11' of node3, node3 uses 'v9' of node2, node2 uses 'v13' of node4",
    ),
    (
        "a cycle through a body",
        |m| {
            let made = node(m, 2).output[0].clone();
            let body = GraphProto {
                node: vec![NodeProto {
                    op_type: Some("Relu".into()),
                    input: vec![made],
                    output: vec!["inner".into()],
                    ..Default::default()
                }],
                ..Default::default()
            };
            node(m, 1).attribute.push(AttributeProto {
                name: Some("then_branch".into()),
                r#type: Some(AttributeType::Graph as i32),
                g: Some(body),
                ..Default::default()
            });
        },
        "has a cycle: node1 uses",
    ),
    (
        "a cycle of two",
        |m| {
            let made = node(m, 2).output[0].clone();
            node(m, 1).input[0] = made;
        },
        "has a cycle: node1 uses",
    ),
    (
        "a node that feeds itself",
        |m| {
            let made = node(m, 1).output[0].clone();
            node(m, 1).input[0] = made;
        },
        "of itself",
    ),
    (
        "a value made twice",
        |m| {
            let made = node(m, 0).output[0].clone();
            node(m, 1).output[0] = made;
        },
        "already there",
    ),
    (
        "a value that is an initializer",
        |m| {
            let w = node(m, 0).input[1].clone();
            node(m, 1).output[0] = w;
        },
        "already there",
    ),
    (
        "a value that is an input",
        |m| node(m, 1).output[0] = "image".into(),
        "already there",
    ),
    (
        "two inputs of one name",
        |m| {
            let i = graph(m).input[0].clone();
            graph(m).input.push(i);
        },
        "two inputs",
    ),
    (
        "an output that nothing makes",
        |m| graph(m).output[0].name = Some("nothing".into()),
        "nothing makes the output 'nothing'",
    ),
    (
        "two outputs of one name",
        |m| {
            let o = graph(m).output[0].clone();
            graph(m).output.push(o);
        },
        "two outputs",
    ),
    (
        "a node without an operator",
        |m| node(m, 1).op_type = None,
        "node node1 has no operator",
    ),
    ("no graph", |m| m.graph = None, "not an ONNX model"),
    ("no nodes", |m| graph(m).node.clear(), "not an ONNX model"),
    ("group 0", |m| node(m, 0).set_int("group", 0), "node node0: group is 0"),
    (
        "a negative group",
        |m| node(m, 0).set_int("group", -1),
        "node node0: group is -1",
    ),
    (
        "a group that does not divide",
        |m| node(m, 0).set_int("group", 3),
        "node node0: group is 3",
    ),
    (
        "a group beyond all bounds",
        |m| node(m, 0).set_int("group", i64::MAX),
        "node node0: group is",
    ),
    (
        "stride 0",
        |m| node(m, 0).set_ints("strides", vec![0, 1]),
        "node node0: strides holds 0",
    ),
    (
        "a negative stride",
        |m| node(m, 0).set_ints("strides", vec![1, -2]),
        "node node0: strides holds -2",
    ),
    (
        "a stride beyond all bounds",
        |m| node(m, 0).set_ints("strides", vec![1 << 40, 1]),
        "strides holds",
    ),
    (
        "dilation 0",
        |m| node(m, 0).set_ints("dilations", vec![0, 0]),
        "node node0: dilations holds 0",
    ),
    (
        "a dilation beyond all bounds",
        |m| node(m, 0).set_ints("dilations", vec![1, i64::MAX]),
        "dilations holds",
    ),
    (
        "pads beyond all bounds",
        |m| node(m, 0).set_ints("pads", vec![i64::MAX; 4]),
        "node node0: pads holds",
    ),
    (
        "pads below all bounds",
        |m| node(m, 0).set_ints("pads", vec![i64::MIN; 4]),
        "pads holds",
    ),
    (
        "another kernel than the weight's",
        |m| node(m, 0).set_ints("kernel_shape", vec![5, 5]),
        "kernel_shape is [5, 5]",
    ),
    (
        "a kernel of negative size",
        |m| node(m, 0).set_ints("kernel_shape", vec![-3, 3]),
        "kernel_shape holds -3",
    ),
    ("too few pads", |m| node(m, 0).set_ints("pads", vec![1]), "malformed"),
    ("an image beyond all bounds", |m| dim(m, 2, 1 << 40), "--shape"),
    (
        "an image of more values than there are",
        |m| {
            dim(m, 2, i64::MAX);
            dim(m, 3, i64::MAX);
        },
        "--shape",
    ),
    (
        "an operator nobody knows",
        |m| node(m, 1).op_type = Some("Reluu".into()),
        "Reluu",
    ),
    (
        "a domain nobody knows",
        |m| node(m, 1).domain = Some("nobody".into()),
        "malformed",
    ),
    (
        "an opset of the far future",
        |m| m.opset_import[0].version = Some(9_999),
        "malformed",
    ),
    (
        "a negative opset",
        |m| m.opset_import[0].version = Some(-1),
        "malformed",
    ),
    ("no opset", |m| m.opset_import.clear(), "malformed"),
    (
        "an input that is no tensor",
        |m| graph(m).input[0].r#type = None,
        "not a tensor",
    ),
    (
        "an input of an unknown type",
        |m| {
            if let Some(Kind::TensorType(t)) = graph(m).input[0].r#type.as_mut().unwrap().value.as_mut() {
                t.elem_type = Some(77)
            }
        },
        "unknown element type",
    ),
    (
        "an input of texts",
        |m| {
            if let Some(Kind::TensorType(t)) = graph(m).input[0].r#type.as_mut().unwrap().value.as_mut() {
                t.elem_type = Some(8)
            }
        },
        "malformed",
    ),
    (
        "an input without a shape",
        |m| {
            if let Some(Kind::TensorType(t)) = graph(m).input[0].r#type.as_mut().unwrap().value.as_mut() {
                t.shape = None
            }
        },
        "--shape",
    ),
    ("other channels than the weight's", |m| dim(m, 1, 4), "malformed"),
    (
        "bodies within bodies without end",
        |m| {
            let g = nested(60);
            graph(m).node.extend(g.node);
        },
        "malformed",
    ),
    (
        "a Gemm that does not fit",
        |m| {
            let n = node(m, 5).input[1].clone();
            let t = graph(m).initializer.iter_mut().find(|t| t.name() == n).unwrap();
            t.dims = vec![6, 5];
        },
        "malformed",
    ),
    (
        "an input nobody uses",
        |m| {
            graph(m).input.push(ValueInfoProto {
                name: Some("more".into()),
                ..Default::default()
            })
        },
        "not a tensor",
    ),
];

fn nested(depth: usize) -> GraphProto {
    let mut graph = GraphProto::default();
    for _ in 0..depth {
        let body = AttributeProto {
            name: Some("then_branch".into()),
            r#type: Some(AttributeType::Graph as i32),
            g: Some(graph),
            ..Default::default()
        };
        let node = NodeProto {
            op_type: Some("If".into()),
            attribute: vec![body],
            ..Default::default()
        };
        graph = GraphProto {
            node: vec![node],
            ..Default::default()
        };
    }
    graph
}

fn dim(model: &mut ModelProto, axis: usize, value: i64) {
    let Some(Kind::TensorType(t)) = graph(model).input[0].r#type.as_mut().unwrap().value.as_mut() else {
        panic!()
    };
    t.shape.as_mut().unwrap().dim[axis].value = Some(Dim::DimValue(value));
}
