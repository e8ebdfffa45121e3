//! Plug-ins that never answer: in the system's loader, and in a run of a model.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common;
use crate::plugin::openvino;

use serde_json::Value;
use snapprune::profile::Database;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/shapes96_misaligned.onnx");

/// What a command may take to end when nothing answers. It is to be three seconds; machines that do other things have more.
const PROMPTLY: Duration = Duration::from_secs(10);

/// What a command may take that does other things, too.
const AT_LENGTH: Duration = Duration::from_secs(120);

/// A library that stays in the system's loader, whose lock it holds; a file tells when it is there.
fn that_never_loads(library: &Path, sign: &Path) {
    let source = library.with_extension("c");
    std::fs::write(
        &source,
        "#include <fcntl.h>\n#include <unistd.h>\n__attribute__((constructor)) static void c(void) \
         { close(open(SIGN, O_CREAT | O_WRONLY, 0600)); for (;;) pause(); }\n",
    )
    .unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(library)
        .arg(format!("-DSIGN=\"{}\"", sign.display()))
        .arg(&source)
        .status();
    assert!(built.unwrap().success());
}

fn command(folder: &Path, library: &Path, name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snapprune"));
    command
        .current_dir(folder)
        .arg(MODEL)
        .arg("--ep-library")
        .arg(library)
        .args(["--ep-name", name, "--no-dynamic", "--staircases", "0"])
        .args(["-o", "out.onnx", "--db", "l.db"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Waits until something is so, while a process goes on.
fn wait_for(child: &mut Child, what: &dyn Fn() -> bool) {
    while !what() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits for a process's end, which is to come within a time.
fn ends_within(limit: Duration, mut child: Child) -> Output {
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() >= limit {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("it goes on after {limit:?}: {}", said(&output));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!("it ended after {:?}", begin.elapsed());
    child.wait_with_output().unwrap()
}

/// Interrupts a process once, and waits for its end.
fn interrupted(child: Child) -> Output {
    let id = libc::pid_t::try_from(child.id()).unwrap();
    assert_eq!(unsafe { libc::kill(id, libc::SIGINT) }, 0);
    ends_within(PROMPTLY, child)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn one_that_never_loads_is_given_up() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: libraries are built for Linux here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (library, sign) = (folder.path().join("libnever.so"), folder.path().join("there"));
    that_never_loads(&library, &sign);
    let mut child = command(folder.path(), &library, "NeverExecutionProvider")
        .args(["--ep-timeout", "1s"])
        .spawn()
        .unwrap();
    wait_for(&mut child, &|| sign.exists());
    let done = ends_within(PROMPTLY, child);
    let words = said(&done);
    assert_eq!(done.status.code(), Some(2), "{words}");
    for part in ["libnever.so", "has not answered for 1 s", "→", "--ep-timeout"] {
        assert!(words.contains(part), "{part} in {words}");
    }

    std::fs::remove_file(&sign).unwrap();
    let mut child = command(folder.path(), &library, "NeverExecutionProvider")
        .spawn()
        .unwrap();
    wait_for(&mut child, &|| sign.exists());
    let done = interrupted(child);
    assert_eq!(done.status.code(), Some(130), "{}", said(&done));
    assert!(!folder.path().join("out.onnx").exists());
}

/// What the doctor finds in an environment.
fn doctor(environment: &Path, patience: &str) -> Value {
    let child = Command::new(env!("CARGO_BIN_EXE_snapprune"))
        .env("VIRTUAL_ENV", environment)
        .args(["doctor", "--json", "--ep-timeout", patience, "--ort-lib"])
        .arg(&common::runtime().library)
        .arg("--db")
        .arg(environment.join("l.db"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let done = ends_within(AT_LENGTH, child.unwrap());
    serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(&done)))
}

#[test]
fn patience_without_end_is_no_crash_of_the_doctor() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("lib/python3.11/site-packages/onnxruntime_ep_empty");
    std::fs::create_dir_all(&package).unwrap();
    std::fs::write(package.join("libonnxruntime_providers_empty.so"), "no library").unwrap();
    // Its double is more than a duration holds; the other is more than the clock does.
    for patience in ["1e19", "8e18"] {
        let found = doctor(folder.path(), patience);
        let checks = found["checks"].as_array().unwrap();
        let check = checks.iter().find(|c| c["name"] == "plug-in empty").unwrap();
        assert!(
            check["found"].as_str().unwrap().contains("providers_empty"),
            "{found:#}"
        );
    }
}

#[test]
fn one_that_never_loads_costs_the_doctor_one_line_and_a_zoo_its_device() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: libraries are built for Linux here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("lib/python3.11/site-packages/onnxruntime_ep_never");
    std::fs::create_dir_all(&package).unwrap();
    let (library, sign) = (
        package.join("libonnxruntime_providers_never.so"),
        folder.path().join("there"),
    );
    that_never_loads(&library, &sign);
    let found = doctor(folder.path(), "1s");
    let checks = found["checks"].as_array().unwrap();
    let check = checks.iter().find(|c| c["name"] == "plug-in never").unwrap();
    assert!(
        check["found"].as_str().unwrap().contains("has not answered for 1 s"),
        "{found:#}"
    );
    assert!(checks.iter().any(|c| c["name"] == "database"), "{found:#}");

    std::fs::remove_file(&sign).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_snapprune"))
        .arg("zoo")
        .arg(MODEL)
        .arg("--out")
        .arg(folder.path().join("out"))
        .arg("--db")
        .arg(folder.path().join("l.db"))
        .arg("--ep-library")
        .arg(&library)
        .args(["--ep-name", "NeverExecutionProvider", "--ep-timeout", "1s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&mut child, &|| sign.exists());
    let done = ends_within(PROMPTLY, child);
    let words = said(&done);
    assert_eq!(done.status.code(), Some(2), "{words}");
    assert!(words.contains("has not answered for 1 s"), "{words}");
}

/// The database's rows.
fn rows(path: &Path) -> usize {
    Database::open(path).and_then(|d| d.rows()).map_or(0, |r| r.len())
}

#[test]
fn one_that_hangs_in_a_run_is_left_at_the_first_interruption() {
    let Some(choice) = openvino() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (database, hang) = (folder.path().join("l.db"), folder.path().join("hang"));
    let mut child = command(folder.path(), choice.library.as_ref().unwrap(), &choice.name)
        .args(["--ep-device", "CPU", "--threads", "1"])
        .env("HANG_ONCE", &hang)
        .spawn()
        .unwrap();
    wait_for(&mut child, &|| database.is_file() && rows(&database) > 0);
    std::fs::write(&hang, "").unwrap();
    wait_for(&mut child, &|| !hang.exists());
    let kept = rows(&database);
    // As long as nobody asks, it may be slow.
    std::thread::sleep(Duration::from_secs(2));
    assert!(child.try_wait().unwrap().is_none());
    let done = interrupted(child);
    assert_eq!(done.status.code(), Some(130), "{}", said(&done));
    assert!(rows(&database) >= kept && kept > 0);
    let left = Database::open(&database).unwrap();
    assert!(left.faults().unwrap().is_empty());
    assert!(!folder.path().join("out.onnx").exists());
}

/// Logs of models whose turn has come.
fn logs(out: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(out.join("journal")).into_iter().flatten().flatten();
    let logs = entries
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "log"));
    logs.filter(|p| p.metadata().is_ok_and(|m| m.len() > 0)).collect()
}

#[test]
fn one_that_hangs_with_one_model_of_a_zoo_costs_that_model_its_time() {
    let Some(choice) = openvino() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (models, out, hang) = (
        folder.path().join("m"),
        folder.path().join("out"),
        folder.path().join("hang"),
    );
    std::fs::create_dir(&models).unwrap();
    for name in ["one.onnx", "two.onnx"] {
        std::fs::copy(MODEL, models.join(name)).unwrap();
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_snapprune"))
        .arg("zoo")
        .arg(&models)
        .arg("--out")
        .arg(&out)
        .arg("--db")
        .arg(folder.path().join("l.db"))
        .arg("--ep-library")
        .arg(choice.library.as_ref().unwrap())
        .args(["--ep-name", &choice.name, "--ep-device", "CPU", "--threads", "1"])
        .args(["--timeout", "15s", "--time-budget", "1s", "--no-dynamic"])
        .env("HANG_ONCE", &hang)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&mut child, &|| !logs(&out).is_empty());
    std::fs::write(&hang, "").unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(!hang.exists(), "nothing hung");
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("zoo.json")).unwrap()).unwrap();
    let states: Vec<&str> = report["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["state"].as_str().unwrap())
        .collect();
    assert_eq!(
        states.iter().filter(|s| **s == "failed").count(),
        1,
        "{report:#} {}",
        said(&done)
    );
    let failed = report["models"]
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["state"] == "failed")
        .unwrap();
    assert_eq!(failed["trouble"], "timeout", "{failed:#}");
}
