//! Models that are wrong in some way: each is refused with a message that names what is wrong, or handled, whatever the bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::net::Net;
use common::{runtime, with_bytes};
use snapprune::onnx::proto::attribute_proto::AttributeType;
use snapprune::onnx::proto::tensor_proto::DataLocation;
use snapprune::onnx::proto::tensor_shape_proto::dimension::Value as Dim;
use snapprune::onnx::proto::type_proto::Value as Kind;
use snapprune::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto, ValueInfoProto,
};
use snapprune::onnx::{Attributes, encode};

/// Two convolutions and a classifier; nodes: 0 Conv, 1 Relu, 2 Conv, 3 GlobalAveragePool, 4 Flatten, 5 Gemm.
fn base() -> ModelProto {
    let mut net = Net::new(17, 3);
    let x = net.input("image", &[1, 3, 8, 8]);
    let y = net.conv(&x, 3, 8, 3, 1);
    let y = net.node("Relu", &[&y], |_| {});
    let y = net.conv(&y, 8, 6, 3, 1);
    let y = net.node("GlobalAveragePool", &[&y], |_| {});
    let y = net.node("Flatten", &[&y], |_| {});
    let w = net.weights(&[5, 6]);
    let y = net.node("Gemm", &[&y, &w], |n| n.set_int("transB", 1));
    net.output(&y);
    let mut model = net.model();
    for (k, node) in model.graph.as_mut().unwrap().node.iter_mut().enumerate() {
        node.name = Some(format!("node{k}"));
    }
    model
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

fn node(model: &mut ModelProto, k: usize) -> &mut NodeProto {
    &mut graph(model).node[k]
}

fn weight(model: &mut ModelProto) -> &mut TensorProto {
    let name = node(model, 0).input[1].clone();
    graph(model).initializer.iter_mut().find(|t| t.name() == name).unwrap()
}

fn dim(model: &mut ModelProto, axis: usize, value: i64) {
    let Some(Kind::TensorType(t)) = graph(model).input[0].r#type.as_mut().unwrap().value.as_mut() else {
        panic!()
    };
    t.shape.as_mut().unwrap().dim[axis].value = Some(Dim::DimValue(value));
}

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

type Case = (&'static str, fn(&mut ModelProto), &'static str);

/// What is wrong, how to make it so, and what is said.
const CASES: &[Case] = &[
    ("a negative extent", |m| weight(m).dims[0] = -8, "negative extent -8"),
    (
        "extents that overflow",
        |m| weight(m).dims = vec![1 << 62, 1 << 62, 3, 3],
        "extents overflow",
    ),
    (
        "extents that overflow in bytes",
        |m| weight(m).dims = vec![1 << 61, 3, 1, 1],
        "extents overflow",
    ),
    (
        "fewer bytes than extents",
        |m| weight(m).dims[0] = 9,
        "bytes for [9, 3, 3, 3]",
    ),
    (
        "far fewer bytes than extents",
        |m| weight(m).dims[0] = 1 << 40,
        "expected",
    ),
    (
        "more bytes than extents",
        |m| with_bytes(weight(m), |raw| raw.extend([0; 4])),
        "expected",
    ),
    (
        "half an element",
        |m| with_bytes(weight(m), |raw| raw.truncate(raw.len() - 1)),
        "expected",
    ),
    ("no data", |m| weight(m).raw_data = None, "0 values"),
    (
        "an unknown type",
        |m| weight(m).data_type = Some(99),
        "unknown data type 99",
    ),
    ("no type", |m| weight(m).data_type = None, "0 texts"),
    ("another type", |m| weight(m).data_type = Some(11), "expected"),
    (
        "floats in the wrong field",
        |m| {
            let t = weight(m);
            t.raw_data = None;
            t.int64_data = vec![1; 216];
        },
        "0 values",
    ),
    ("texts as weights", |m| weight(m).data_type = Some(8), "0 texts"),
    (
        "NaN as a weight",
        |m| with_bytes(weight(m), |raw| raw[..4].copy_from_slice(&f32::NAN.to_le_bytes())),
        "element 0 of this weight",
    ),
    (
        "an infinite weight",
        |m| {
            with_bytes(weight(m), |raw| {
                raw[8..12].copy_from_slice(&f32::INFINITY.to_le_bytes())
            })
        },
        "element 2 of this weight",
    ),
    (
        "NaN in float_data",
        |m| {
            let t = weight(m);
            t.raw_data = None;
            t.float_data = vec![f32::NAN; 216];
        },
        "no number",
    ),
    (
        "no output channels",
        |m| {
            let t = weight(m);
            t.dims[0] = 0;
            t.raw_data = Some(Default::default());
        },
        "node node0: its weight has no elements",
    ),
    (
        "no input channels",
        |m| {
            let t = weight(m);
            t.dims[1] = 0;
            t.raw_data = Some(Default::default());
        },
        "node node0: its weight has no elements",
    ),
    (
        "a kernel of nothing",
        |m| {
            let t = weight(m);
            t.dims[2] = 0;
            t.raw_data = Some(Default::default());
        },
        "no elements",
    ),
    (
        "a weight of two axes",
        |m| weight(m).dims = vec![8, 27],
        "node node0: its weight has 2 axes",
    ),
    (
        "two initializers of one name",
        |m| {
            let t = weight(m).clone();
            graph(m).initializer.push(t);
        },
        "two initializers",
    ),
    ("an initializer without a name", |m| weight(m).name = None, "no name"),
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
    (
        "external data without a place",
        |m| {
            let t = weight(m);
            t.raw_data = None;
            t.data_location = Some(DataLocation::External as i32);
        },
        "without location",
    ),
    (
        "external data at an absolute path",
        |m| outside(m, "/etc/passwd"),
        "leaves the model's folder",
    ),
    (
        "external data above the folder",
        |m| outside(m, "../secret.bin"),
        "leaves the model's folder",
    ),
    (
        "external data above the folder, hidden",
        |m| outside(m, "a/../../secret.bin"),
        "leaves the model's folder",
    ),
    (
        "external data with an empty place",
        |m| outside(m, ""),
        "leaves the model's folder",
    ),
    (
        "external data that is not there",
        |m| outside(m, "gone.bin"),
        "gone.bin",
    ),
    (
        "external data that is a folder",
        |m| outside(m, "."),
        "not a plain file",
    ),
    (
        "external data with an unknown key",
        |m| {
            outside(m, "w.bin");
            keyed(m, "__class__", "x");
        },
        "unknown external data key",
    ),
    (
        "external data with a key twice",
        |m| {
            outside(m, "w.bin");
            keyed(m, "location", "v.bin");
        },
        "twice",
    ),
    (
        "external data at a negative offset",
        |m| {
            outside(m, "w.bin");
            keyed(m, "offset", "-1");
        },
        "offset '-1'",
    ),
    (
        "external data of no length",
        |m| {
            outside(m, "w.bin");
            keyed(m, "length", "many");
        },
        "length 'many'",
    ),
    (
        "external data of a length beyond all numbers",
        |m| {
            outside(m, "w.bin");
            keyed(m, "length", "99999999999999999999999");
        },
        "length '9",
    ),
];

fn outside(model: &mut ModelProto, location: &str) {
    weight(model).raw_data = None;
    weight(model).data_location = Some(DataLocation::External as i32);
    keyed(model, "location", location);
}

fn keyed(model: &mut ModelProto, key: &str, value: &str) {
    weight(model).external_data.push(StringStringEntryProto {
        key: Some(key.into()),
        value: Some(value.into()),
    });
}

/// Inspects a file in little memory and at most ten seconds of a core; the exit status (none when it ran out of them), and what was
/// said.
fn inspected(file: &Path) -> (Option<i32>, String) {
    let line = "ulimit -v 3000000; ulimit -t 10; exec \"$0\" inspect \"$1\"";
    let output = Command::new("bash")
        .args(["-c", line, env!("CARGO_BIN_EXE_snapprune")])
        .arg(file)
        .env("ORT_DYLIB_PATH", std::fs::canonicalize(&runtime().library).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// Inspects many files on all cores.
fn all(files: &[(String, Vec<u8>)], check: &(dyn Fn(&str, Option<i32>, &str) + Sync)) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let folder = tempfile::tempdir().unwrap();
                while let Some((name, bytes)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let file = folder.path().join("model.onnx");
                    std::fs::write(&file, bytes).unwrap();
                    let (code, said) = inspected(&file);
                    assert!(
                        matches!(code, Some(0 | 2)) && !said.contains("panicked"),
                        "{name}: {code:?} {said}"
                    );
                    check(name, code, &said);
                }
            });
        }
    });
}

#[test]
fn each_fault_is_told_by_name() {
    let files: Vec<(String, Vec<u8>)> = CASES
        .iter()
        .map(|(name, wrong, _)| {
            let mut model = base();
            wrong(&mut model);
            ((*name).to_owned(), encode(&model))
        })
        .collect();
    all(&files, &|name, code, said| {
        let (_, _, why) = CASES.iter().find(|c| c.0 == name).unwrap();
        assert_eq!(code, Some(2), "{name}: {said}");
        assert!(said.contains('→'), "{name}: {said}");
        // Where ONNX Runtime is the judge, its words may change.
        assert!(*why == "malformed" || said.contains(why), "{name}: {said}");
    });
    let sound = vec![("a sound model".to_owned(), encode(&base()))];
    all(&sound, &|name, code, said| assert_eq!(code, Some(0), "{name}: {said}"));
}

#[test]
fn cut_and_changed_files_are_refused_or_handled() {
    let bytes = encode(&base());
    let mut random = fastrand::Rng::with_seed(41);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for k in 0..40 {
        files.push((format!("cut {k}"), bytes[..bytes.len() * k / 40].to_vec()));
    }
    for k in 0..110 {
        let mut changed = bytes.clone();
        for _ in 0..1 + k % 5 {
            // Most of a model is weights; half of the changes go to the rest, which comes first.
            let at = if k % 2 == 0 {
                random.usize(..changed.len())
            } else {
                random.usize(..400.min(changed.len()))
            };
            changed[at] = random.u8(..);
        }
        files.push((format!("changed {k}"), changed));
    }
    for k in 0..20 {
        let length = random.usize(1..2000);
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
        files.push((format!("noise {k}"), noise));
        files.push((
            format!("doubled {k}"),
            [&bytes[..random.usize(..bytes.len())], &bytes[..]].concat(),
        ));
    }
    assert!(files.len() + CASES.len() >= 250);
    all(&files, &|_, _, _| {});
}
