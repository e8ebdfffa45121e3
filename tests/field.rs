//! Files as exporters and converters leave them: what is said of them, and that they are right or refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::{Path, PathBuf};

use common::command::{fails, snapprune};
use common::net::{Net, value_info};
use serde_json::{Value, json};
use snapprune::onnx::proto::attribute_proto::AttributeType;
use snapprune::onnx::proto::tensor_shape_proto::dimension::Value as Dim;
use snapprune::onnx::proto::type_proto::Value as Kind;
use snapprune::onnx::proto::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto,
};
use snapprune::onnx::{Attributes, Dtype, Tensor, encode, load};

fn written(folder: &Path, name: &str, model: &ModelProto) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, encode(model)).unwrap();
    path
}

/// What a command says on both streams, and its exit status.
fn said(args: &[&str]) -> (Option<i32>, String) {
    let output = snapprune().args(args).output().unwrap();
    let both = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(both).unwrap())
}

/// The main job on one core, with a database of its own.
fn job(folder: &Path, path: &Path, more: &[&str]) -> (Option<i32>, String) {
    let db = folder.join("latency.db");
    let own = [
        path.to_str().unwrap(),
        "--cpu",
        "--threads",
        "1",
        "--db",
        db.to_str().unwrap(),
    ];
    said(&[&own, more].concat())
}

fn inspected(path: &Path, more: &[&str]) -> Value {
    let output = snapprune()
        .arg("inspect")
        .arg(path)
        .arg("--json")
        .args(more)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// A plan that takes the last block of every free group that has more than one.
fn plan(folder: &Path, path: &Path, more: &[&str]) -> PathBuf {
    let groups: Vec<Value> = inspected(path, more)["groups"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|g| g["free"] == true && g["blocks"].as_u64() > Some(1))
        .map(|g| {
            let (unit, blocks) = (g["unit"].as_u64().unwrap(), g["blocks"].as_u64().unwrap());
            json!({
                "group": g["id"], "layers": g["producers"], "width_before": unit * blocks,
                "width_after": unit * (blocks - 1), "kept": (0..blocks - 1).collect::<Vec<_>>(),
            })
        })
        .collect();
    assert!(!groups.is_empty(), "{}", path.display());
    let hash = blake3::hash(&std::fs::read(path).unwrap()).to_hex().to_string();
    let plan = json!({"schema_version": 1, "model": hash, "groups": groups});
    let file = folder.join("plan.json");
    std::fs::write(&file, plan.to_string()).unwrap();
    file
}

/// The model with the last block of every free group cut off.
fn cut(folder: &Path, path: &Path, more: &[&str]) -> PathBuf {
    let (plan, out) = (plan(folder, path, more), folder.join("cut.onnx"));
    let mut args = vec![
        "apply",
        path.to_str().unwrap(),
        plan.to_str().unwrap(),
        "-o",
        out.to_str().unwrap(),
    ];
    args.extend(more);
    let (code, text) = said(&args);
    assert_eq!(code, Some(0), "{}: {text}", path.display());
    out
}

fn integers(net: &mut Net, dims: &[usize], dtype: Dtype) -> String {
    let count: usize = dims.iter().product();
    let bytes: Vec<u8> = (0..count).map(|_| net.random.u8(..)).collect();
    net.constant(&Tensor {
        dims: dims.to_vec(),
        dtype,
        bytes: bytes.into(),
    })
}

fn zero(net: &mut Net, dtype: Dtype) -> String {
    net.constant(&Tensor {
        dims: vec![],
        dtype,
        bytes: vec![0].into(),
    })
}

fn scalar(net: &mut Net, value: f32) -> String {
    net.constant(&Tensor::from_f32(vec![], &[value]))
}

/// A convolution 3×3 whose int8 weights come through `DequantizeLinear`, with a scale for each channel.
fn behind_dequantize(net: &mut Net, x: &str, cin: usize, cout: usize) -> String {
    let (scale, zero) = (scalar(net, 0.02), zero(net, Dtype::Uint8));
    let q = net.node("QuantizeLinear", &[x, &scale, &zero], |_| {});
    let x = net.node("DequantizeLinear", &[&q, &scale, &zero], |_| {});
    let (w, scales) = (
        integers(net, &[cout, cin, 3, 3], Dtype::Int8),
        net.floats(&[cout], 0.001, 0.002),
    );
    let w = net.node("DequantizeLinear", &[&w, &scales], |n| n.set_int("axis", 0));
    net.node("Conv", &[&x, &w], |n| n.set_ints("pads", vec![1; 4]))
}

fn qdq() -> ModelProto {
    let mut net = Net::new(17, 1);
    let x = net.input("image", &[1, 3, 8, 8]);
    let y = behind_dequantize(&mut net, &x, 3, 13);
    let y = net.node("Relu", &[&y], |_| {});
    let y = behind_dequantize(&mut net, &y, 13, 10);
    net.output(&y);
    net.model()
}

fn integer_operator() -> ModelProto {
    let mut net = Net::new(17, 1);
    let x = net.input("image", &[1, 3, 8, 8]);
    let (scale, zero) = (scalar(&mut net, 0.02), zero(&mut net, Dtype::Uint8));
    let q = net.node("QuantizeLinear", &[&x, &scale, &zero], |_| {});
    let (w, ws) = (
        integers(&mut net, &[6, 3, 3, 3], Dtype::Int8),
        net.floats(&[6], 0.001, 0.002),
    );
    let wz = net.constant(&Tensor {
        dims: vec![6],
        dtype: Dtype::Int8,
        bytes: vec![0; 6].into(),
    });
    let q = net.node("QLinearConv", &[&q, &scale, &zero, &w, &ws, &wz, &scale, &zero], |_| {});
    let y = net.node("DequantizeLinear", &[&q, &scale, &zero], |_| {});
    net.output(&y);
    net.model()
}

fn quantized_at_run_time() -> ModelProto {
    let mut net = Net::new(17, 1);
    let x = net.input("image", &[1, 3, 8, 8]);
    let q = net.node_many("DynamicQuantizeLinear", &[&x], 3, |_| {});
    let w = integers(&mut net, &[6, 3, 3, 3], Dtype::Uint8);
    let y = net.node("ConvInteger", &[&q[0], &w, &q[2]], |_| {});
    let y = net.node("Cast", &[&y], |n| n.set_int("to", Dtype::Float as i64));
    let y = net.node("Mul", &[&y, &q[1]], |_| {});
    net.output(&y);
    net.model()
}

#[test]
fn quantized_layers_are_named_and_a_model_of_them_is_declined_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for (name, model, op, what, macs) in [
        (
            "qdq",
            qdq(),
            "Conv",
            "uint8 activations, int8 weights per channel (QDQ)",
            64 * 9 * (3 * 13 + 13 * 10),
        ),
        (
            "qop",
            integer_operator(),
            "QLinearConv",
            "uint8 activations, int8 weights per channel",
            36 * 6 * 27,
        ),
        (
            "dyn",
            quantized_at_run_time(),
            "ConvInteger",
            "activations quantized at run time, uint8 weights",
            36 * 6 * 27,
        ),
    ] {
        let path = written(folder.path(), &format!("{name}.onnx"), &model);
        let report = inspected(&path, &[]);
        let left = &report["left_out"][0];
        assert_eq!(
            (left["op"].as_str(), left["what"].as_str()),
            (Some(op), Some(what)),
            "{name}"
        );
        assert_eq!(
            (report["macs"].as_u64(), report["macs_free_share"].as_f64()),
            (Some(macs), Some(0.0)),
            "{name}"
        );
        let (code, text) = said(&["inspect", path.to_str().unwrap()]);
        assert!(
            code == Some(0) && text.contains(what) && text.contains("nothing to do: "),
            "{name}: {text}"
        );
        for goal in [&[][..], &["--target-macs", "0.8x"], &["--target-latency", "0.8x"]] {
            let (code, text) = job(folder.path(), &path, goal);
            assert_eq!(code, Some(1), "{name}: {text}");
            for part in [
                "float convolution with constant weights: ",
                "quantized (",
                what,
                "before quantizing it",
            ] {
                assert!(text.contains(part), "{name}: {part}: {text}");
            }
            assert!(!text.contains("stands where"), "{name}: {text}");
        }
    }
    let files = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path());
    assert_eq!(
        files.filter(|p| p.extension().is_some_and(|e| e == "onnx")).count(),
        3,
        "a file was written"
    );
}

#[test]
fn in_a_mixed_model_the_widths_of_quantized_layers_stay_and_others_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 1);
    let x = net.input("image", &[1, 3, 8, 8]);
    let y = net.conv(&x, 3, 13, 3, 1);
    let y = net.node("Relu", &[&y], |_| {});
    let y = net.conv(&y, 13, 11, 3, 1);
    let y = net.node("Relu", &[&y], |_| {});
    let y = behind_dequantize(&mut net, &y, 11, 9);
    net.output(&y);
    let path = written(folder.path(), "mixed.onnx", &net.model());
    let report = inspected(&path, &[]);
    let free = |width: u64| {
        let groups = report["groups"].as_array().unwrap();
        groups.iter().find(|g| g["width"] == width).unwrap()["free"] == true
    };
    assert_eq!((free(13), free(11), free(9)), (true, false, false), "{report:#}");
    let notes = report["notes"].to_string();
    assert!(notes.contains("1 of 3 convolutions are left out"), "{notes}");
    assert!(report["nothing_to_do"].is_null());
}

fn body(name: &str, nodes: Vec<NodeProto>, output: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        r#type: Some(AttributeType::Graph as i32),
        g: Some(GraphProto {
            name: Some(name.into()),
            node: nodes,
            output: vec![ValueInfoProto {
                name: Some(output.into()),
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn layers_that_stay_for_other_reasons_are_counted_by_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 1);
    let x = net.input("image", &[1, 3, 8, 8]);
    // Weights that come from the input.
    let (small, device) = (net.node("GlobalAveragePool", &[&x], |_| {}), net.ints(&[1, 3, 1, 1]));
    let w = net.node("Reshape", &[&small, &device], |_| {});
    let computed = net.node("Conv", &[&x, &w], |_| {});
    // A body of a branch, and a function.
    let w = net.weights(&[1, 1, 3, 3]);
    let conv = |out: &str| NodeProto {
        op_type: Some("Conv".into()),
        input: vec![computed.clone(), w.clone()],
        output: vec![out.into()],
        ..Default::default()
    };
    let sum = net.node("ReduceSum", &[&x], |n| n.set_int("keepdims", 0));
    let flag = net.node("Cast", &[&sum], |n| n.set_int("to", Dtype::Bool as i64));
    let y = net.node("If", &[&flag], |n| {
        n.attribute.push(body("then_branch", vec![conv("a")], "a"));
        n.attribute.push(body("else_branch", vec![conv("b")], "b"));
    });
    let y = net.node("Own", &[&y, &w], |n| n.domain = Some("local".into()));
    net.output(&y);
    let mut model = net.model();
    let own = OperatorSetIdProto {
        domain: Some("local".into()),
        version: Some(1),
    };
    model.opset_import.push(own);
    model.functions.push(FunctionProto {
        name: Some("Own".into()),
        domain: Some("local".into()),
        input: vec!["u".into(), "v".into()],
        output: vec!["o".into()],
        node: vec![NodeProto {
            op_type: Some("Conv".into()),
            input: vec!["u".into(), "v".into()],
            output: vec!["o".into()],
            ..Default::default()
        }],
        opset_import: vec![model.opset_import[0].clone()],
        ..Default::default()
    });
    let path = written(folder.path(), "odd.onnx", &model);
    let why = inspected(&path, &[])["nothing_to_do"].as_str().unwrap().to_owned();
    for part in [
        "none of its 4 convolutions is a float convolution with constant weights: 2 are inside a body of If",
        "1 have weights that are computed at run time",
        "1 are inside a function of the model",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let (code, text) = job(folder.path(), &path, &[]);
    assert!(code == Some(1) && text.contains(&why), "{text}");
}

/// Three convolutions and a classifier.
fn plain() -> Net {
    let mut net = Net::new(13, 5);
    let mut y = net.input("image", &[1, 3, 16, 16]);
    for (cin, cout) in [(3, 13), (13, 22), (22, 9)] {
        y = net.conv(&y, cin, cout, 3, 1);
        y = net.node("Relu", &[&y], |_| {});
    }
    let y = net.node("GlobalAveragePool", &[&y], |_| {});
    let y = net.node("Flatten", &[&y], |_| {});
    let w = net.weights(&[5, 9]);
    let y = net.node("Gemm", &[&y, &w], |n| n.set_int("transB", 1));
    net.output(&y);
    net
}

#[test]
fn a_file_that_is_not_in_order_is_sorted_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = plain().model();
    let sorted = written(folder.path(), "sorted.onnx", &model);
    model.graph.as_mut().unwrap().node.reverse();
    let path = written(folder.path(), "unsorted.onnx", &model);
    let note = "the nodes of the file were not in order; they were sorted";
    let (a, b) = (inspected(&sorted, &[]), inspected(&path, &[]));
    assert_eq!(a["groups"], b["groups"]);
    assert_eq!(b["notes"][0], note);
    let loaded = load(&path).unwrap();
    assert_eq!(loaded.proto, load(&sorted).unwrap().proto);
    assert_eq!(
        loaded.hash,
        blake3::hash(&std::fs::read(&path).unwrap()).to_hex().to_string()
    );
    let cut = cut(folder.path(), &path, &[]);
    assert!(load(&cut).is_ok_and(|m| !m.sorted));
    for command in ["verify", "bench"] {
        let names = [&sorted, &path].map(|p| p.to_str().unwrap());
        let mut args = vec![command, names[0], names[1], "--cpu", "--threads", "1"];
        args.extend(if command == "bench" {
            &["--seconds", "0.1"][..]
        } else {
            &[]
        });
        let (code, text) = said(&args);
        assert!(code == Some(0) && text.contains(note), "{command}: {text}");
    }
}

#[test]
fn an_output_that_the_file_declares_wrong_is_said_and_everything_runs() {
    let folder = tempfile::tempdir().unwrap();
    for declared in [&[1, 5][..], &[1, 5, 1, 1, 1], &[1, 6, 16, 16], &[2, 5, 16, 16]] {
        let mut net = Net::new(13, 5);
        let x = net.input("image", &[1, 3, 16, 16]);
        let y = net.conv(&x, 3, 13, 3, 1);
        let y = net.conv(&y, 13, 5, 3, 1);
        // ONNX Runtime does not infer this shape.
        let shape = net.node("Shape", &[&y], |_| {});
        let least = net.ints(&[0]);
        let all = net.node("Greater", &[&shape, &least], |_| {});
        let shape = net.node("Compress", &[&shape, &all], |n| n.set_int("axis", 0));
        let y = net.node("Reshape", &[&y, &shape], |_| {});
        net.graph.output.push(value_info(&y, declared));
        let path = written(folder.path(), "wrong.onnx", &net.model());
        let note = inspected(&path, &[])["notes"][0]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(
            note.contains("has the extents [") && note.contains("but it has [1, 5, 16, 16]"),
            "{note}"
        );
        let cut = cut(folder.path(), &path, &[]);
        let output = |p: &Path| load(p).unwrap().graph().unwrap().output.clone();
        assert_eq!(output(&path), output(&cut));
        let (code, text) = said(&[
            "bench",
            path.to_str().unwrap(),
            cut.to_str().unwrap(),
            "--cpu",
            "--threads",
            "1",
            "--seconds",
            "0.1",
        ]);
        assert_eq!(code, Some(0), "{declared:?}: {text}");
    }
}

#[test]
fn extents_that_were_assumed_come_first_when_a_model_does_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(13, 5);
    let x = net.input("image", &[1, 3, 16, 16]);
    let y = net.conv(&x, 3, 13, 3, 1);
    let y = net.node("Flatten", &[&y], |_| {});
    let w = net.weights(&[5, 13 * 256]);
    let y = net.node("Gemm", &[&y, &w], |n| n.set_int("transB", 1));
    net.output(&y);
    let mut model = net.model();
    let input = &mut model.graph.as_mut().unwrap().input[0];
    let Some(Kind::TensorType(kind)) = input.r#type.as_mut().unwrap().value.as_mut() else {
        panic!()
    };
    let dims = &mut kind.shape.as_mut().unwrap().dim;
    dims[2].value = Some(Dim::DimParam("height".into()));
    dims[3].value = None;
    let path = written(folder.path(), "open.onnx", &model);
    let (name, db) = (path.to_str().unwrap(), folder.path().join("l.db"));
    for args in [
        &["inspect", name][..],
        &[name, "--cpu", "--threads", "1", "--db", db.to_str().unwrap()],
        &["bench", name, "--cpu", "--threads", "1"],
    ] {
        let text = fails(args, 2);
        let assumed = "input 'image': 'height' is open, 224 was assumed, axis 3 is open, 224 was assumed; the model does not run so";
        let flags = "Give the real extents with --shape image:1,3,H,W (or --dim height=H)";
        let (first, then) = (text.find(assumed), text.find(flags));
        assert!(
            first.is_some() && first < then && !text.contains("downloaded"),
            "{text}"
        );
    }
    assert_eq!(said(&["inspect", name, "--shape", "image:1,3,16,16"]).0, Some(0));
    // Nothing was assumed: the file is at fault.
    let text = fails(&["inspect", name, "--shape", "image:1,3,16,17"], 2);
    assert!(text.contains("downloaded in full"), "{text}");
}

/// The same with all weights as inputs, for a version of the format.
fn with_inputs(ir: i64) -> ModelProto {
    let mut model = plain().model();
    model.ir_version = Some(ir);
    let graph = model.graph.as_mut().unwrap();
    let dims = |t: &[i64]| t.iter().map(|&d| d as usize).collect::<Vec<_>>();
    let inputs: Vec<_> = graph
        .initializer
        .iter()
        .map(|t| value_info(t.name(), &dims(&t.dims)))
        .collect();
    graph.input.extend(inputs);
    model
}

#[test]
fn weights_that_callers_may_replace_stay_unless_they_are_fixed() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "inputs.onnx", &with_inputs(7));
    let report = inspected(&path, &[]);
    assert!(
        report["notes"].to_string().contains("--fix-weights"),
        "{:#}",
        report["notes"]
    );
    let reason = report["groups"][1]["reason"].as_str().unwrap();
    assert!(
        reason.contains("graph inputs too, which callers may replace"),
        "{reason}"
    );
    let (code, text) = job(folder.path(), &path, &["--target-macs", "0.8x"]);
    assert!(code == Some(1) && text.contains("graph inputs too"), "{text}");
    let cut = cut(folder.path(), &path, &["--fix-weights"]);
    let inputs = load(&cut).unwrap().graph().unwrap().input.len();
    assert_eq!(inputs, 1);
}

#[test]
fn before_version_4_every_weight_is_an_input_and_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "old.onnx", &with_inputs(3));
    assert_eq!(inspected(&path, &[])["notes"], json!([]));
    let cut = load(&cut(folder.path(), &path, &[])).unwrap();
    let graph = cut.graph().unwrap();
    for tensor in &graph.initializer {
        let input = graph.input.iter().find(|v| v.name() == tensor.name()).unwrap();
        let dims: Vec<usize> = tensor.dims.iter().map(|&d| d as usize).collect();
        assert_eq!(*input, value_info(tensor.name(), &dims));
    }
}

#[test]
fn a_group_that_moves_in_blocks_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(13, 5);
    let x = net.input("image", &[1, 3, 8, 8]);
    let y = net.conv(&x, 3, 20, 3, 1);
    let y = net.node("DepthToSpace", &[&y], |n| {
        n.set_int("blocksize", 2);
        common::net::set_text(n, "mode", "CRD");
    });
    let y = net.conv(&y, 5, 4, 3, 1);
    net.output(&y);
    let path = written(folder.path(), "shuffle.onnx", &net.model());
    let report = inspected(&path, &[]);
    let group = report["groups"]
        .as_array()
        .unwrap()
        .iter()
        .find(|g| g["width"] == 20)
        .unwrap();
    assert_eq!((&group["unit"], &group["blocks"]), (&json!(4), &json!(5)));
    let (_, text) = said(&["inspect", path.to_str().unwrap()]);
    assert!(text.contains("20 = 5 × 4"), "{text}");
    cut(folder.path(), &path, &[]);
    // The indices of channels are told apart.
    let file = folder.path().join("plan.json");
    let mut plan: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    plan["groups"][0]["kept"] = json!((0..16).collect::<Vec<_>>());
    std::fs::write(&file, plan.to_string()).unwrap();
    let out = folder.path().join("not.onnx");
    let text = fails(
        &[
            "apply",
            path.to_str().unwrap(),
            file.to_str().unwrap(),
            "-o",
            out.to_str().unwrap(),
        ],
        2,
    );
    assert!(
        text.contains("the group moves in blocks of 4 channels, so these are indices of its 5 blocks, 0 to 4, not of its 20 channels"),
        "{text}"
    );
}
