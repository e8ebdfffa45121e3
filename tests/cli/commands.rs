//! The other commands, and wrong use of any.

use crate::common;
use std::path::Path;

use crate::common::command::{fails, model, snapprune};
use serde_json::Value;

#[test]
fn inspect_says_what_is_free_and_why_the_rest_is_not() {
    let path = model("shapes96.onnx");
    let output = snapprune().arg("inspect").arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("graph output") && text.contains("free to change"),
        "{text}"
    );
    let output = snapprune().arg("inspect").arg(&path).arg("--json").output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["macs_free_share"].as_f64().unwrap() > 0.95);
    assert_eq!(report["params"], 662_154);
    assert!(
        report["constraints"]
            .as_array()
            .unwrap()
            .iter()
            .all(|b| !b["reason"].as_str().unwrap().is_empty())
    );
    assert!(
        report["groups"]
            .as_array()
            .unwrap()
            .iter()
            .all(|g| g["width"].as_u64() > Some(0))
    );
    let dot = snapprune().arg("inspect").arg(&path).arg("--dot").output().unwrap();
    let dot = String::from_utf8_lossy(&dot.stdout);
    assert!(
        dot.starts_with("digraph") && dot.contains("->") && dot.trim_end().ends_with('}'),
        "{dot}"
    );
}

#[test]
fn bench_shows_models_side_by_side() {
    let (a, b) = (model("shapes96.onnx"), model("shapes96_misaligned.onnx"));
    let output = snapprune()
        .arg("bench")
        .args([&a, &b])
        .args(["--cpu", "--threads", "1", "--seconds", "0.2", "--json"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["models"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["ratio"], 1.0);
    assert!(
        rows.iter()
            .all(|r| r["min"].as_f64() <= r["median"].as_f64() && r["n"].as_u64() >= Some(15))
    );
}

#[test]
fn wrong_use_ends_in_what_to_do() {
    let path = model("shapes96.onnx");
    let path = path.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.onnx");
    std::fs::write(&text, "this is not a model\n").unwrap();
    assert!(fails(&["/nowhere/model.onnx"], 2).contains("/nowhere/model.onnx"));
    assert!(fails(&[text.to_str().unwrap(), "--cpu"], 2).contains("not an ONNX model"));
    assert!(fails(&[path, "-o", path], 2).contains("overwrite"));
    assert!(fails(&[path, "--cpu", "--dim", "M=4"], 2).contains("the symbolic dimensions are: N"));
    assert!(fails(&[path, "--cpu", "--shape", "picture:1,3,96,96"], 2).contains("the inputs are image"));
    assert!(fails(&[path, "--cpu", "--shape", "image:1,4,96,96"], 2).contains("fixed at 3"));
    assert!(fails(&[path, "--cpu", "--batch", "0"], 2).contains("at least 1"));
    let several = ["profile", path, "--cpu", "--batch", "1:0.7,8:0.3"];
    assert!(fails(&several, 2).contains("takes one size for --batch"));
    assert!(fails(&[path, "--cpu", "--ort-lib", "/nowhere/libonnxruntime.so"], 2).contains("--ort-lib"));
    assert!(fails(&[path, "--cpu", "-o", "/nowhere/out.onnx"], 2).contains("-o"));
    assert!(fails(&[], 2).contains("MODEL"));
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_that_says_what_to_install() {
    if Path::new("/proc/driver/nvidia").exists() {
        eprintln!("skipped: this machine has an NVIDIA driver");
        return;
    }
    let path = model("shapes96.onnx");
    let said = fails(&[path.to_str().unwrap(), "--gpu", "0"], 2);
    assert!(said.contains("NVIDIA") && said.contains("--cpu"), "{said}");
}

#[test]
fn verify_compares_two_models_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output = snapprune()
            .arg("verify")
            .args(args)
            .args(["--cpu", "--threads", "1"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said)
    };
    let own = model("shapes96.onnx");
    let own = own.to_str().unwrap();
    let (code, said) = run(&[own, own]);
    assert!(code == Some(0) && said.contains("same"), "{said}");
    // One weight is another.
    let mut changed = snapprune::onnx::load(&model("shapes96.onnx")).unwrap().proto;
    let weight = changed
        .graph
        .as_mut()
        .unwrap()
        .initializer
        .iter_mut()
        .find(|t| t.dims.len() == 4)
        .unwrap();
    common::with_bytes(weight, |raw| raw[..4].copy_from_slice(&9.0f32.to_le_bytes()));
    let other = folder.path().join("other.onnx");
    std::fs::write(&other, snapprune::onnx::encode(&changed)).unwrap();
    let other = other.to_str().unwrap();
    let (code, said) = run(&[own, other, "--json"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, report["same"].as_bool()), (Some(1), Some(false)));
    assert!(report["outputs"][0]["different"].as_u64().unwrap() > 0, "{report}");
    // Real inputs, and a tolerance that lets it pass.
    let eval = model("shapes96_eval.npz");
    let eval = eval.to_str().unwrap();
    assert_eq!(run(&[own, other, "--eval", eval]).0, Some(1));
    let (code, said) = run(&[own, other, "--eval", eval, "--rtol", "0", "--atol", "1e9"]);
    assert!(code == Some(0), "{said}");
    let (code, said) = run(&[own, model("scenes96.onnx").to_str().unwrap()]);
    assert!(code == Some(2) || code == Some(1), "{said}");
    assert_eq!(run(&[own, own, "--tries", "0"]).0, Some(2));
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_command_quietly() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_snapprune"))
        .arg("inspect")
        .arg(model("scenes96.onnx"))
        .env("ORT_DYLIB_PATH", &common::runtime().library)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
}
