//! The command, run on the models of this project.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

pub fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

/// A Python interpreter that has NumPy: that of this folder's environment, or the system's.
pub fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let active = std::env::var_os("VIRTUAL_ENV").map(|v| Path::new(&v).join("bin/python"));
    let found = [Some(own), active].into_iter().flatten().find(|p| p.exists());
    found.unwrap_or_else(|| PathBuf::from("/usr/bin/python3"))
}

pub fn snapprune() -> Command {
    let mut command = Command::cargo_bin("snapprune").unwrap();
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// The main job for a CPU core, with the times that tests share and the report on standard output; no steps are timed for the page.
pub fn job_on_a_core(model: &Path, out: &Path) -> Command {
    let mut job = snapprune();
    job.arg(model)
        .args(["--cpu", "--threads", "1", "--staircases", "0s", "--json", "-o"])
        .arg(out)
        .arg("--db")
        .arg(shared_times());
    job
}

/// A latency database that the tests of this process share: what was timed for one of them is known to the others.
pub fn shared_times() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("times-{}.db", std::process::id()))
}

/// Runs the command on one thread of the CPU with `--json`, with times that the tests share: the exit status and the report.
pub fn reported(args: &[&str]) -> (Option<i32>, Value) {
    let output = snapprune()
        .args(args)
        .args(["--cpu", "--threads", "1", "--staircases", "0s", "--json", "--db"])
        .arg(shared_times())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text} {output:?}"));
    (output.status.code(), report)
}

pub fn fails(args: &[&str], code: i32) -> String {
    let output = snapprune().args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// Runs the main job on the misaligned model, on this machine, to `out.onnx` in the folder: the status and the report. Whether a faster
/// model comes out hangs on the machine.
pub fn optimized(folder: &Path, extra: &[&str]) -> (Option<i32>, Value) {
    let out = folder.join("out.onnx");
    let db = folder.join("latency.db");
    let output = snapprune()
        .arg(model("shapes96_misaligned.onnx"))
        .args(["--cpu", "--threads", "1", "--staircases", "1s", "--json", "-o"])
        .arg(&out)
        .arg("--db")
        .arg(&db)
        .args(extra)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text} {:?}", output));
    (output.status.code(), report)
}
