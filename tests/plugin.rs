//! A provider that ONNX Runtime loads as a plug-in: OpenVINO's, where the active environment has it; else each says that it was skipped.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common;

use common::runtime;
use snapprune::Error;
use snapprune::device::{
    CpuDevice, CpuFallback, Device, DeviceKind, Executor, NodeRuns, PluginChoice, PluginDevice, PluginTarget,
    ShapeOptions, Timer, input_specs, installed_plugins, random_inputs,
};
use snapprune::error::DeviceError;
use snapprune::onnx::{Graph, encode, load};
use snapprune::profile::{Prober, Problem, smoke};
use snapprune::verify::compare;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/shapes96_misaligned.onnx");

/// OpenVINO's plug-in as one that takes any processor for Intel's; `None` (said) where it is not installed.
pub fn openvino() -> Option<PluginChoice> {
    let Some(plugin) = installed_plugins().into_iter().find(|p| p.name == "openvino") else {
        eprintln!("skipped: onnxruntime-ep-openvino is not installed here");
        return None;
    };
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        eprintln!("skipped: OpenVINO's plug-in is tested on Linux on x86-64");
        return None;
    }
    Some(PluginChoice {
        name: "OpenVINOExecutionProvider".to_owned(),
        library: Some(for_any_cpu(&plugin.library)),
        slot: PluginTarget::Cpu.into(),
        options: Vec::new(),
        patience: None,
    })
}

fn for_any_cpu(library: &Path) -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let build = || {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libany_cpu.so");
        let vendor = std::mem::offset_of!(ort::sys::OrtApi, HardwareDevice_VendorId) / size_of::<usize>();
        let read = std::mem::offset_of!(ort::sys::OrtApi, KernelContext_GetInput) / size_of::<usize>();
        let status = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(&out)
            .arg(format!("-DVENDOR_ID={vendor}"))
            .arg(format!("-DREAD={read}"))
            .arg(format!("-DTARGET=\"{}\"", library.display()))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/any_cpu.c"))
            .status();
        assert!(status.unwrap().success());
        out
    };
    BUILT.get_or_init(build).clone()
}

#[test]
fn a_plugin_runs_a_model_and_tells_what_it_is() {
    let Some(choice) = openvino() else { return };
    let device = PluginDevice::new(runtime(), &choice, 1).unwrap();
    let info = device.info();
    assert_eq!(info.kind, DeviceKind::Plugin);
    for part in [
        "OpenVINOExecutionProvider 1.",
        "device=CPU",
        "precision=",
        "\"INFERENCE_NUM_THREADS\":\"1\"",
    ] {
        assert!(info.stack.contains(part), "{part} in {}", info.stack);
    }
    assert!(smoke(&device, CpuFallback::Forbidden).unwrap() > 0.0);
    let model = load(MODEL.as_ref()).unwrap();
    let specs = input_specs(&Graph::of(&model.proto).unwrap(), &ShapeOptions::default()).unwrap();
    let bytes = encode(&model.proto);
    let inputs = random_inputs(&specs, 1, 1.0).unwrap();
    let agreement = compare(&device, &bytes, &bytes, &specs, 1, 2).unwrap();
    assert!(agreement.holds() && agreement.rounding < 0.1, "{agreement:?}");
    assert!(device.left_to_cpu(&bytes, &inputs).unwrap().is_empty());
    // A plug-in that is loaded takes nothing from who asks for the CPU provider.
    let cpu = CpuDevice::new(runtime(), 1);
    let node_runs = NodeRuns {
        warmup: 1,
        timed: 1,
        fallback: CpuFallback::Allowed,
    };
    let nodes = cpu.node_times(&bytes, &inputs, node_runs).unwrap().unwrap();
    assert!(nodes.iter().any(|n| n.op == "Conv"), "{nodes:?}");
    assert_eq!(
        cpu.outputs(&bytes, &inputs).unwrap().len(),
        device.outputs(&bytes, &inputs).unwrap().len()
    );
}

#[test]
fn a_layer_is_what_a_chain_takes_longer_with_it() {
    let Some(choice) = openvino() else { return };
    let device = PluginDevice::new(runtime(), &choice, 1).unwrap();
    let mut prober = Prober::new(&device, None);
    let problems = [
        Problem::plain(32, 32, 16),
        Problem::plain(256, 256, 28),
        Problem::plain(8, 8, 4),
    ];
    prober.require(&problems, &|_, _| {}).unwrap();
    let ms = |p| prober.get(p).unwrap().summary().median;
    assert!(ms(&problems[1]) > 5.0 * ms(&problems[0]));
    // Single differences are noise that may be below zero; what is kept are times that can go to another machine.
    let all = problems.iter().flat_map(|p| prober.get(p).unwrap().samples.clone());
    assert!(all.into_iter().all(|ms| ms > 0.0));
}

#[test]
fn a_plugin_that_is_not_there_or_does_not_load_is_an_error_of_its_own() {
    let missing = PluginChoice {
        name: "nowhere".to_owned(),
        ..PluginChoice::default()
    };
    let error = PluginDevice::new(runtime(), &missing, 1).unwrap_err();
    assert!(
        matches!(&error, Error::Device(DeviceError::NoPlugin { name }) if name == "nowhere"),
        "{error}"
    );
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libonnxruntime_providers_broken.so");
    std::fs::write(&library, b"no library").unwrap();
    let broken = PluginChoice {
        name: "BrokenExecutionProvider".to_owned(),
        library: Some(library),
        ..PluginChoice::default()
    };
    let error = PluginDevice::new(runtime(), &broken, 1).unwrap_err();
    assert!(
        matches!(error, Error::Device(DeviceError::PluginNotLoaded { .. })),
        "{error}"
    );
}

#[test]
fn a_plugin_that_crashes_costs_the_doctor_one_line() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: libraries are built for Linux here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("lib/python3.11/site-packages/onnxruntime_ep_crash");
    std::fs::create_dir_all(&package).unwrap();
    let source = folder.path().join("crash.c");
    std::fs::write(
        &source,
        "#include <stdlib.h>\n__attribute__((constructor)) static void c(void) { abort(); }\n",
    )
    .unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(package.join("libonnxruntime_providers_crash.so"))
        .arg(&source)
        .status();
    assert!(built.unwrap().success());
    let done = common::command::snapprune()
        .env("VIRTUAL_ENV", folder.path())
        .args(["doctor", "--json", "--ort-lib"])
        .arg(&runtime().library)
        .arg("--db")
        .arg(folder.path().join("l.db"))
        .output()
        .unwrap();
    let found: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let checks = found["checks"].as_array().unwrap();
    let check = checks.iter().find(|c| c["name"] == "plug-in crash").unwrap();
    assert!(check["found"].as_str().unwrap().contains("signal 6"), "{found:#}");
    assert!(checks.iter().any(|c| c["name"] == "database"), "{found:#}");
}

/// A zoo of one model on the plug-in, and its dynamic variant where that is asked for: whatever comes of it was timed there.
#[test]
fn a_zoo_on_a_plugin() {
    let Some(choice) = openvino() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let done = common::command::snapprune()
        .arg("zoo")
        .arg(MODEL)
        .arg("--out")
        .arg(&out)
        .arg("--db")
        .arg(folder.path().join("l.db"))
        .arg("--ep-library")
        .arg(choice.library.unwrap())
        .args(["--ep-name", &choice.name, "--ep-device", "CPU", "--threads", "1"])
        .args(["--time-budget", "2s", "--dynamic-keep", "0.5", "--dynamic", "channels"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(matches!(done.status.code(), Some(0 | 1)), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("zoo.json")).unwrap()).unwrap();
    let model = &report["models"][0];
    assert!(
        ["written", "declined"].contains(&model["state"].as_str().unwrap()),
        "{model:#}"
    );
    assert!(
        model["device"].as_str().unwrap().contains("OpenVINOExecutionProvider"),
        "{model:#}"
    );
    let own = std::fs::read(out.join("shapes96_misaligned.snap.json")).unwrap();
    let own: serde_json::Value = serde_json::from_slice(&own).unwrap();
    let gates = own["gates"].as_array().unwrap();
    assert!(gates.iter().all(|g| g["ms_dense"].as_f64() > Some(0.0)), "{own:#}");
}

/// What a crash costs: the job, and nothing that was timed before.
#[test]
fn a_plugin_that_crashes_in_a_job_is_told_and_what_was_timed_is_kept() {
    let Some(choice) = openvino() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (database, out) = (folder.path().join("l.db"), folder.path().join("out.onnx"));
    let command = || {
        let mut command = common::command::snapprune();
        command
            .arg(MODEL)
            .arg("--ep-library")
            .arg(choice.library.as_ref().unwrap())
            .args(["--ep-name", &choice.name, "--ep-device", "CPU", "--threads", "1"])
            .args(["--no-dynamic", "--staircases", "0"])
            .arg("--db")
            .arg(&database)
            .arg("-o")
            .arg(&out);
        command
    };
    let done = command().env("CRASH_WHEN", &database).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.signal(), Some(libc::SIGSEGV), "{said}");
    for part in ["crashed (segmentation fault)", &choice.name, "stays in the database"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!out.exists());
    let again = command().args(["--time-budget", "1s"]).output().unwrap();
    assert!(matches!(again.status.code(), Some(0 | 1)), "{again:?}");
}

/// A library's own `exit` would leave with a status that says that a model was written.
#[test]
fn a_plugin_that_ends_the_process_is_told() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (source, library) = (folder.path().join("ends.c"), folder.path().join("libends.so"));
    std::fs::write(
        &source,
        "#include <stdlib.h>\nvoid *CreateEpFactories(void) { exit(0); }\nvoid *ReleaseEpFactory(void) { return 0; }\n",
    )
    .unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .status();
    assert!(built.unwrap().success());
    let done = common::command::snapprune()
        .arg(MODEL)
        .arg("--ep-library")
        .arg(&library)
        .args(["--ep-name", "EndsExecutionProvider", "--db"])
        .arg(folder.path().join("l.db"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("a library ended the process"), "{said}");
}
