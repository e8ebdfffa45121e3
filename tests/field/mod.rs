//! Files as exporters and converters leave them: what is said of them, and that they are right or refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kept;
mod mended;
mod quantized;

use snapprune::onnx::Attributes;
use std::path::{Path, PathBuf};

use crate::common::command::snapprune;
use crate::common::net::Net;
use serde_json::{Value, json};
use snapprune::onnx::encode;
use snapprune::onnx::proto::ModelProto;

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
