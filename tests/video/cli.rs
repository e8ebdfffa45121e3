//! The command that makes the files.

use std::process::Command as Process;

use snapprune::onnx::{encode, parse};
use snapprune::video::{Manifest, Role};

use crate::common::command::{fails, python, reported};
use crate::common::net::Net;
use snapprune::onnx::Attributes;

/// Convolutions that take long enough for tiles to pay.
fn heavy() -> Vec<u8> {
    let mut net = Net::new(13, 1);
    net.input("image", &[1, 3, 160, 160]);
    let mut x = "image".to_owned();
    for (cin, stride) in [(3, 2), (48, 1), (48, 1), (48, 1)] {
        let w = net.weights(&[48, cin, 3, 3]);
        x = net.node("Conv", &[&x, &w], |n| {
            n.set_ints("pads", vec![1; 4]);
            n.set_ints("strides", vec![stride; 2]);
        });
        x = net.node("Relu", &[&x], |_| {});
    }
    let mean = net.node("GlobalAveragePool", &[&x], |_| {});
    let flat = net.node("Flatten", &[&mean], |_| {});
    net.output(&flat);
    encode(&net.model())
}

#[test]
fn files_are_made_from_frames_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("model.onnx"), heavy()).unwrap();
    let drawn = Process::new(python())
        .args([
            "models/video_scenes.py",
            &at("frames"),
            "--frames",
            "10",
            "--size",
            "160x160",
            "--changed",
            "0.03",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(drawn.status.success(), "{drawn:?}");
    let (code, report) = reported(&[
        &at("model.onnx"),
        "--video",
        "--calib",
        &at("frames"),
        "--dynamic-drop",
        "0",
    ]);
    let video = &report["video"];
    assert_eq!(code, Some(0), "{report:#}");
    assert!(video["exact_difference"].as_f64().unwrap() <= 1e-4);
    assert_eq!(video["threshold"], 0.0);
    let files = video["files"].as_array().unwrap();
    assert!(files.len() > 1, "{report:#}");
    for file in files {
        let path = at(&format!("model.snap.video-{}.onnx", file["part"].as_str().unwrap()));
        let manifest = Manifest::of(&parse(std::fs::read(path).unwrap()).unwrap().proto)
            .unwrap()
            .unwrap();
        let dense = file["part"] == "dense";
        assert_eq!(manifest.role == Role::Dense, dense);
        assert_eq!(manifest.limit, video["limit"].as_f64().unwrap());
        assert!(dense || file["ratio"].as_f64().unwrap() < 1.0);
    }
    assert!(folder.path().join("model.snap.video.json").is_file());
}

#[test]
fn what_is_missing_is_told() {
    let model = "models/shapes96.onnx";
    assert!(fails(&[model, "--video"], 2).contains("frames in their order"));
    assert!(fails(&[model, "--video", "--calib", "models", "-o", "-"], 2).contains("standard output"));
    let nowhere = fails(&[model, "--video", "--calib", "models", "-o", "/none/such/x.onnx"], 2);
    assert!(nowhere.contains("/none/such cannot be written to"), "{nowhere}");
    for other in [
        ["--distill", "3"],
        ["--dynamic-keep", "0.5"],
        ["--deploy-dtype", "int8"],
    ] {
        let asked = [&[model, "--video", "--calib", "models"][..], &other].concat();
        assert!(fails(&asked, 2).contains("for other jobs"), "{other:?}");
    }
}
