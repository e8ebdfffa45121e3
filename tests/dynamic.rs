//! The dynamic variant by the command, and its file in plain ONNX Runtime from Python.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::command::{fails, job_on_a_core, model, python, shared_times, snapprune};
use common::{cpu, difference};
use ndarray::{ArrayD, IxDyn};
use serde_json::Value;
use snapprune::device::Executor;
use snapprune::gate::{Gate, GateForm, TileGate, blocks, gated, tilings};
use snapprune::onnx::{Graph, Tensor, encode, parse};

/// Runs a Python program to its end.
fn run_python(args: &[&str]) {
    let output = Command::new(python()).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// So many scenes of a seed as a file.
fn scenes(folder: &Path, name: &str, count: usize, seed: usize) -> String {
    let path = folder.join(name).display().to_string();
    let script = model("scenes.py").display().to_string();
    run_python(&[&script, &path, &count.to_string(), &seed.to_string()]);
    path
}

/// Runs the main job on Scenes-96; the exit status, the report, and the dynamic file.
fn job(folder: &Path, extra: &[&str]) -> (Option<i32>, Value, PathBuf) {
    let out = folder.join("out.onnx");
    let output = job_on_a_core(&model("scenes96.onnx"), &out)
        // Whether gates pay is told by these times.
        .env_remove("SNAPPRUNE_BENCHMARKS")
        .args(["--mean", "0.5", "--std", "0.5"])
        .args(extra)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text} {output:?}"));
    (output.status.code(), report, folder.join("out.dynamic.onnx"))
}

fn used(report: &Value) -> Vec<&Value> {
    let gates = report["gates"].as_array().unwrap();
    gates.iter().filter(|g| g["used"] == true).collect()
}

/// Random images.
fn images(count: usize, random: &mut fastrand::Rng) -> ArrayD<f32> {
    ArrayD::from_shape_simple_fn(IxDyn(&[count, 3, 96, 96]), || random.f32() * 2.0 - 1.0)
}

fn tensor(array: &ArrayD<f32>) -> Tensor {
    Tensor::from_f32(array.shape().to_vec(), &array.iter().copied().collect::<Vec<_>>())
}

/// The outputs of a file in Python, with a library of operators if one is named, against those of a model here.
fn apart_from_python(folder: &Path, file: &Path, library: Option<&Path>, x: &ArrayD<f32>, here: &[u8]) -> f64 {
    let script = folder.join("run.py");
    let program = "import sys, numpy, onnxruntime\n\
        o = onnxruntime.SessionOptions()\n\
        for library in sys.argv[4:]: o.register_custom_ops_library(library)\n\
        s = onnxruntime.InferenceSession(sys.argv[1], o, providers=['CPUExecutionProvider'])\n\
        numpy.save(sys.argv[3], s.run(None, {s.get_inputs()[0].name: numpy.load(sys.argv[2])})[0])\n";
    std::fs::write(&script, program).unwrap();
    let (given, made) = (folder.join("x.npy"), folder.join("y.npy"));
    ndarray_npy::write_npy(&given, x).unwrap();
    let paths = [script.as_path(), file, given.as_path(), made.as_path()];
    let paths: Vec<String> = paths
        .into_iter()
        .chain(library)
        .map(|p| p.display().to_string())
        .collect();
    run_python(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let theirs: ArrayD<f32> = ndarray_npy::read_npy(&made).unwrap();
    let ours = cpu().outputs(here, &[("image".to_owned(), tensor(x))]).unwrap();
    let theirs = vec![(ours[0].0.clone(), tensor(&theirs))];
    difference(&ours, &theirs, &ours).raw
}

/// The file's outputs from Python are the outputs here, for several batches.
fn same_in_python(folder: &Path, file: &Path, batches: &[usize]) {
    let bytes = std::fs::read(file).unwrap();
    let mut random = fastrand::Rng::with_seed(4);
    for &batch in batches {
        let x = images(batch, &mut random);
        assert!(apart_from_python(folder, file, None, &x, &bytes) < 1e-5);
    }
}

fn operators(file: &Path) -> Vec<String> {
    let model = parse(std::fs::read(file).unwrap()).unwrap().proto;
    let nodes = model.graph.unwrap().node;
    assert!(
        nodes.iter().all(|n| n.domain().is_empty()),
        "operators of other domains"
    );
    nodes.iter().map(|n| n.op_type().to_owned()).collect()
}

#[test]
fn half_of_the_tiles_in_every_block_where_that_pays() {
    let folder = tempfile::tempdir().unwrap();
    let calib = scenes(folder.path(), "calib.npz", 60, 3);
    let eval = scenes(folder.path(), "eval.npz", 60, 2);
    let data = ["--calib", &calib, "--eval", &eval];
    let args: Vec<&str> = data
        .iter()
        .copied()
        .chain(["--dynamic", "tiles", "--dynamic-keep", "0.5"])
        .collect();
    let (code, report, file) = job(folder.path(), &args);
    assert_eq!(code, Some(0), "{report}");
    let gates = used(&report);
    assert!(gates.len() >= 2, "{report}");
    for gate in &gates {
        assert_eq!(gate["kind"], "tiles");
        let keep = gate["keep"].as_f64().unwrap();
        assert!((keep - 0.5).abs() < 0.09, "{gate}");
        assert!(
            gate["ms_gated"].as_f64().unwrap() < gate["ms_dense"].as_f64().unwrap(),
            "{gate}"
        );
        assert!(gate["flops_share"].as_f64().unwrap() < 0.85, "{gate}");
    }
    let macs = &report["macs"];
    assert!(macs["dynamic"].as_u64().unwrap() < macs["after"].as_u64().unwrap());
    let top1 = &report["verify"]["top1"];
    assert!(
        top1["original"].as_f64().unwrap() > 0.95 && top1["dynamic"].is_f64(),
        "{top1}"
    );
    assert!(report["latency_ms"]["dynamic"]["median"].as_f64().unwrap() > 0.0);
    assert!(report["dynamic"]["reference"]["max_rel_diff"].as_f64().unwrap() < 1e-3);
    let ops = operators(&file);
    let gathers = ["TopK", "Gather", "ScatterND"].map(|op| ops.iter().filter(|o| *o == op).count());
    assert!(gathers.iter().all(|&n| n >= gates.len()), "{gathers:?}");
    assert!(
        !ops.iter()
            .any(|o| ["NonZero", "If", "Loop", "Shape"].contains(&o.as_str())),
        "{ops:?}"
    );
    same_in_python(folder.path(), &file, &[1, 3]);
    // The file tells what was done to it.
    let told = snapprune().arg("explain").arg(&file).output().unwrap();
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    for part in [
        "scenes96.onnx",
        "tiles",
        "--dynamic-keep 0.5",
        "of the static model's",
        "undo",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains(folder.path().to_str().unwrap()), "{told}");
    let text = fails(&["explain", model("scenes96.onnx").to_str().unwrap()], 2);
    assert!(text.contains("snapprune inspect"), "{text}");
}

#[test]
fn gates_are_chosen_within_the_drop_that_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let calib = scenes(folder.path(), "calib.npz", 120, 3);
    let (code, report, file) = job(folder.path(), &["--calib", &calib, "--dynamic-drop", "2%"]);
    assert_eq!(code, Some(0), "{report}");
    let gates = used(&report);
    assert!(!gates.is_empty() && report["dynamic"]["written"] == true, "{report}");
    assert!(report["dynamic"]["held_out_drop"].as_f64().unwrap() <= 0.02);
    assert!(
        gates
            .iter()
            .all(|g| g["loss"].is_f64() && g["retained_energy"].as_f64().unwrap() <= 1.0)
    );
    let one = gates.iter().any(|g| g["kind"] != "tiles");
    same_in_python(folder.path(), &file, if one { &[1] } else { &[1, 4] });
}

#[test]
fn masks_compute_everything_and_any_batch() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--dynamic", "mask", "--dynamic-keep", "0.5", "--dynamic-all"];
    let (code, report, file) = job(folder.path(), &args);
    assert_eq!(code, Some(0), "{report}");
    let ops = operators(&file);
    assert!(
        ops.iter().any(|o| o == "TopK") && !ops.iter().any(|o| o == "ScatterND"),
        "{ops:?}"
    );
    assert_eq!(report["macs"]["dynamic"], report["macs"]["after"]);
    let notes = report["dynamic"]["notes"].to_string();
    assert!(notes.contains("without calibration samples"), "{notes}");
    same_in_python(folder.path(), &file, &[1, 2]);
}

/// A network without a shortcut: its convolutions are one chain, both of whose inner maps lose channels at once.
#[test]
fn plain_chains_are_gated() {
    let folder = tempfile::tempdir().unwrap();
    let (file, samples) = common::small::small(folder.path());
    let run = |kind: &str| -> (Value, Vec<String>) {
        let out = folder.path().join(format!("{kind}.onnx"));
        let output = snapprune()
            .arg(&file)
            .args(["--cpu", "--threads", "1", "--staircases", "0s", "--json"])
            .args(["--dynamic", kind, "--dynamic-keep", "0.5", "--dynamic-all"])
            .arg("--calib")
            .arg(&samples)
            .arg("-o")
            .arg(&out)
            .arg("--db")
            .arg(shared_times())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let report = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text} {output:?}"));
        (report, operators(&folder.path().join(format!("{kind}.dynamic.onnx"))))
    };
    for (kind, work) in [("channels", 0.48), ("tiles", 0.85)] {
        let (report, ops) = run(kind);
        let gates = used(&report);
        assert_eq!(gates.len(), 1, "{report}");
        assert_eq!(gates[0]["kind"], kind);
        assert!(gates[0]["flops_share"].as_f64().unwrap() < work, "{report}");
        assert!(report["dynamic"]["reference"]["max_rel_diff"].as_f64().unwrap() < 1e-3);
        let count = |op: &str| ops.iter().filter(|o| *o == op).count();
        let made = (count("TopK"), count("ScatterND"));
        if kind == "tiles" {
            assert_eq!(made, (1, 1), "{ops:?}");
        } else {
            // Channels that are the same for every input are not chosen when the model runs.
            assert_eq!((made.0 == 0, made.1), (gates[0]["attention"] == "fixed", 0), "{ops:?}");
            let fitted = report["dynamic"]["fitted"].as_array().unwrap();
            let [own, best] = [0, 1].map(|i| fitted[i].as_f64().unwrap());
            assert!(best < 0.5 * own, "{fitted:?}");
        }
    }
}

/// Another process's ONNX Runtime workloads our operators from the library and makes what ours makes.
#[test]
fn fused_gates_run_in_python_with_the_library() {
    let case = common::Case::open(&model("scenes96.onnx"));
    let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
    let (found, _) = blocks(&graph, &case.analysis);
    let tiling = tilings(&found[2], 2).remove(0);
    let gate = Gate {
        tiles: Some(TileGate {
            keep: 1,
            attention: vec![1.0; found[2].input_dims[0]],
            fill: vec![0.1; found[2].output_dims[0]],
            tiling,
        }),
        channels: Vec::new(),
        block: found[2].clone(),
    };
    let fused = gated(&case.proto, &graph, &[&gate], GateForm::Fused).unwrap();
    let masked = gated(&case.proto, &graph, &[&gate], GateForm::Masked).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fused.onnx");
    std::fs::write(&file, encode(&fused)).unwrap();
    // Beside the command, as a build leaves it.
    let library = std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .join("libsnapprune.so");
    let library = if library.exists() {
        library
    } else {
        assert_cmd::cargo::cargo_bin("snapprune").with_file_name("libsnapprune.so")
    };
    let x = images(2, &mut fastrand::Rng::with_seed(4));
    let found = apart_from_python(folder.path(), &file, Some(&library), &x, &encode(&masked));
    assert!(found < 1e-4, "{found}");
}

#[test]
fn without_samples_it_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (code, report, file) = job(folder.path(), &[]);
    assert_eq!(code, Some(1), "{report}");
    let why = report["dynamic"]["declined"].as_str().unwrap();
    assert!(why.contains("samples") && !why.contains("--"), "{why}");
    assert!(report["dynamic"]["hint"].as_str().unwrap().contains("--calib"));
    assert!(!file.exists() && report["ratio_dynamic"].is_null());
    let net = model("scenes96.onnx");
    let text = fails(
        &[
            net.to_str().unwrap(),
            "--cpu",
            "--dynamic-keep",
            "0.5",
            "--dynamic-drop",
            "200%",
        ],
        2,
    );
    assert!(text.contains("200%"), "{text}");
}
