//! Jobs that take branches out.

use std::path::{Path, PathBuf};

use serde_json::Value;
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Attributes, encode, parse};

use super::{apart, none, relu};
use crate::common::Case;
use crate::common::command::{fails, reported, snapprune};
use crate::common::net::Net;
use ndarray::Array4;
use ndarray_npy::NpzWriter;

/// Four blocks of two layers, the second of which adds next to nothing, and samples.
fn residual(folder: &Path) -> (PathBuf, PathBuf) {
    let mut net = Net::new(17, 5);
    let x = net.input("image", &[1, 3, 16, 16]);
    let x = net.conv(&x, 3, 16, 3, 1);
    let mut x = relu(&mut net, &x);
    for reach in [0.2, 0.004, 0.2, 0.1] {
        let y = net.conv(&x, 16, 16, 3, 1);
        let y = relu(&mut net, &y);
        let (w, b) = (
            net.floats(&[16, 16, 3, 3], -reach, reach),
            net.floats(&[16], -reach, reach),
        );
        let y = net.node("Conv", &[&y, &w, &b], |n| n.set_ints("pads", vec![1; 4]));
        let y = net.node("Add", &[&y, &x], none);
        x = relu(&mut net, &y);
    }
    let x = net.node("GlobalAveragePool", &[&x], none);
    let x = net.node("Flatten", &[&x], none);
    let (w, b) = (net.weights(&[10, 16]), net.floats(&[10], -0.3, 0.3));
    let x = net.node("Gemm", &[&x, &w, &b], |n| n.set_int("transB", 1));
    net.output(&x);
    let (file, samples) = (folder.join("residual.onnx"), folder.join("samples.npz"));
    std::fs::write(&file, encode(&net.model())).unwrap();
    let mut random = fastrand::Rng::with_seed(6);
    let images = Array4::from_shape_simple_fn((64, 3, 16, 16), || random.f32());
    let mut npz = NpzWriter::new(std::fs::File::create(&samples).unwrap());
    npz.add_array("image", &images).unwrap();
    npz.finish().unwrap();
    (file, samples)
}

fn read(file: &Path) -> ModelProto {
    parse(std::fs::read(file).unwrap()).unwrap().proto
}

/// The additions of a model by name, front to back.
fn sums(model: &ModelProto) -> Vec<String> {
    let nodes = &model.graph.as_ref().unwrap().node;
    let sums = nodes.iter().enumerate().filter(|(_, n)| n.op_type() == "Add");
    sums.map(|(k, n)| snapprune::onnx::label(n, k)).collect()
}

#[test]
fn a_goal_takes_the_branch_that_is_missed_least_and_a_plan_repeats_it() {
    let folder = tempfile::tempdir().unwrap();
    let (file, samples) = residual(folder.path());
    let (file, samples) = (file.to_str().unwrap(), samples.to_str().unwrap());
    let out = folder.path().join("out.onnx");
    let job = |more: &[&str]| -> (Option<i32>, Value) {
        let mut args = vec![file, "--target-macs", "0.8x", "--allow-slower", "--dynamic", "off"];
        args.extend(["--calib", samples, "-o", out.to_str().unwrap()]);
        args.extend(more);
        reported(&args)
    };
    let (code, report) = job(&["--allow", "zero"]);
    assert_eq!(code, Some(0), "{report}");
    let original = read(Path::new(file));
    let gone = report["branches_removed"].as_array().unwrap();
    assert_eq!(gone.len(), 1, "{gone:?}");
    assert_eq!(gone[0].as_str().unwrap(), sums(&original)[1]);
    let moved = &report["moves"][0];
    assert_eq!(moved["kind"], "zero");
    assert_eq!(moved["layers"].as_array().unwrap().len(), 2);
    let row = report["groups"]
        .as_array()
        .unwrap()
        .iter()
        .find(|g| g["width_after"] == 0);
    assert!(
        row.unwrap()["reason"].as_str().unwrap().contains("residual branch"),
        "{row:?}"
    );
    let made = read(&out);
    assert_eq!(sums(&made).len(), 3);
    let inspected = snapprune()
        .args(["inspect", out.to_str().unwrap(), "--json"])
        .output()
        .unwrap();
    let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(inspected["macs"], report["macs"]["after"]);
    assert_eq!(inspected["params"], report["params"]["after"]);
    // The stored plan makes the same model.
    let (plan, again) = (folder.path().join("plan.json"), folder.path().join("again.onnx"));
    assert_eq!(report["plan"]["schema_version"], 3);
    std::fs::write(&plan, report["plan"].to_string()).unwrap();
    let applied = snapprune()
        .args([
            "apply",
            file,
            plan.to_str().unwrap(),
            "--calib",
            samples,
            "-o",
            again.to_str().unwrap(),
        ])
        .output()
        .unwrap();
    assert_eq!(applied.status.code(), Some(0), "{applied:?}");
    let case = Case::new(&original).unwrap();
    assert_eq!(sums(&read(&again)), sums(&made));
    assert!(apart(&case, &read(&again), &made) < 1e-4);
    assert!(apart(&case, &original, &made) > 1e-6);
    let explained = snapprune().args(["explain", again.to_str().unwrap()]).output().unwrap();
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(
        explained.contains("residual branches") && explained.contains(gone[0].as_str().unwrap()),
        "{explained}"
    );
    // What the user keeps stays, and a least width is one.
    let kept = moved["layers"][0].as_str().unwrap();
    let (code, report) = job(&["--allow", "zero", "--keep", kept]);
    assert_eq!(code, Some(0), "{report}");
    let others = report["branches_removed"].as_array().unwrap();
    assert!(!others.is_empty() && !others.contains(&gone[0]), "{others:?}");
    let loss = |m: &Value| m["loss"].as_f64().unwrap();
    assert!(loss(moved) > 0.0 && loss(&report["moves"][0]) > loss(moved), "{report}");
    let (code, report) = job(&["--allow", "zero", "--min-width", "2"]);
    assert_ne!(code, Some(0), "{report}");
    assert_eq!(report["branches_removed"].as_array().unwrap().len(), 0);
}

#[test]
fn without_samples_every_branch_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = residual(folder.path());
    let file = file.to_str().unwrap();
    let out = folder.path().join("out.onnx");
    let out = out.to_str().unwrap();
    let goal = ["--target-macs", "0.5x", "--allow-slower", "--dynamic", "off", "-o", out];
    let (code, report) = reported(&[&[file][..], &goal[..]].concat());
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["branches_removed"].as_array().unwrap().len(), 0);
    assert!(fails(&[&[file][..], &goal[..], &["--allow", "zero"][..]].concat(), 2).contains("give samples"));
}
