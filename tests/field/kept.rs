//! What stays for other reasons than quantization, and how it is told.

use super::{cut, inspected, job, plain, said, written};
use crate::common;
use crate::common::command::fails;
use crate::common::net::{Net, body, value_info};
use serde_json::{Value, json};
use snapprune::onnx::Attributes;
use snapprune::onnx::proto::{FunctionProto, ModelProto, NodeProto, OperatorSetIdProto};
use snapprune::onnx::{Dtype, load};

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
        "none of its 4 convolutions is one that is timed: 2 are inside a body of If",
        "1 have weights that are computed at run time",
        "1 are inside a function of the model",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let (code, text) = job(folder.path(), &path, &[]);
    assert!(code == Some(1) && text.contains(&why), "{text}");
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
        report["notes"].to_string().contains("can be fixed as constants"),
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
