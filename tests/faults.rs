//! What happens when something outside goes wrong: it is told with what to do, and nothing is lost or left half done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::chance::seed;
use common::command::{fails, model, snapprune};
use common::recorded::plan_of_recorded;
use common::runtime;
use snapprune::device::DeviceInfo;
use snapprune::profile::{Database, Problem, Record, RecordFacts};

/// A database with so many records.
fn database(path: &Path, records: usize) {
    let record = |cout: usize| Record {
        problem: Problem::plain(16, cout, 8),
        samples: vec![cout as f64; 20],
        facts: RecordFacts::default(),
    };
    let all: Vec<Record> = (1..=records).map(record).collect();
    let device = DeviceInfo {
        name: "A device".into(),
        fingerprint: "0123".into(),
        stack: "made up".into(),
        ..DeviceInfo::default()
    };
    Database::open(path).unwrap().store(&device, &all).unwrap();
}

fn db(path: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snapprune"));
    command
        .arg("db")
        .args(words)
        .arg("--db")
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn count(path: &Path) -> usize {
    Database::open(path).unwrap().rows().unwrap().len()
}

/// How often to kill: a few times in every run of the tests, a hundred times with SNAPPRUNE_KILLS=100.
fn kills() -> usize {
    std::env::var("SNAPPRUNE_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(8)
}

/// Moments, spread over a time; SNAPPRUNE_SEED has the same drawn again.
fn moments(most: Duration) -> impl Iterator<Item = Duration> {
    let mut random = fastrand::Rng::with_seed(seed());
    std::iter::repeat_with(move || most.mul_f64(random.f64())).take(kills())
}

/// Enough that a merge takes a while, in which it can be killed.
const RECORDS: usize = 6000;

#[test]
fn killed_while_merging_the_database_opens_and_has_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from.db"), folder.path().join("to.db"));
    database(&from, RECORDS);
    let start = std::time::Instant::now();
    assert!(db(&to, &["merge", from.to_str().unwrap()]).status().unwrap().success());
    let took = start.elapsed();
    for moment in moments(took.mul_f64(1.1)) {
        for ending in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{ending}", to.display()));
        }
        database(&to, 5);
        let mut child = db(&to, &["merge", from.to_str().unwrap()]).spawn().unwrap();
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!([5, RECORDS].contains(&count(&to)), "{} after {moment:?}", count(&to));
        assert!(db(&to, &["verify"]).status().unwrap().success());
        assert_eq!(count(&from), RECORDS);
    }
}

#[test]
fn killed_in_a_run_no_half_model_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (out, store) = (folder.path().join("out.onnx"), folder.path().join("l.db"));
    let plan = folder.path().join("plan.json");
    plan_of_recorded(folder.path(), &plan);
    database(&store, 50);
    let known = count(&store);
    let apply = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snapprune"));
        command
            .arg("apply")
            .arg(model("shapes96_misaligned.onnx"))
            .arg(&plan)
            .arg("-o")
            .arg(&out)
            .args(more);
        command.env("ORT_DYLIB_PATH", std::fs::canonicalize(&runtime().library).unwrap());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let start = std::time::Instant::now();
    assert!(apply(&[]).status().unwrap().success());
    let (took, whole) = (start.elapsed(), std::fs::read(&out).unwrap());
    for moment in moments(took.mul_f64(1.1)) {
        std::fs::remove_file(&out).unwrap_or_default();
        let mut child = apply(&[]).spawn().unwrap();
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        if let Ok(found) = std::fs::read(&out) {
            assert!(found == whole, "half a model after {moment:?}");
        }
    }
    // With weights in a file beside it: a model that can be seen has all its weights, the one that was there before too.
    for moment in moments(took.mul_f64(1.1)) {
        let mut child = apply(&["--save-as-external-data"]).spawn().unwrap();
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        if out.exists() {
            let found = snapprune::onnx::load(&out).unwrap_or_else(|e| panic!("after {moment:?}: {e}"));
            let (found, whole) = (
                found.proto.graph.unwrap(),
                snapprune::onnx::parse(whole.clone()).unwrap(),
            );
            assert!(
                found.initializer == whole.proto.graph.unwrap().initializer,
                "other weights after {moment:?}"
            );
        }
    }
    // The same with the database under way: it opens, and what was there is there.
    for moment in moments(Duration::from_secs(2)) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_snapprune"))
            .arg(model("shapes96.onnx"))
            .args(["--cpu", "--threads", "1", "--quiet", "-o"])
            .arg(&out)
            .arg("--db")
            .arg(&store)
            .env("ORT_DYLIB_PATH", std::fs::canonicalize(&runtime().library).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(count(&store) >= known);
    }
    assert!(db(&store, &["verify"]).status().unwrap().success());
}

#[test]
fn a_database_that_is_no_use_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.db");
    database(&path, 500);
    let sound = std::fs::read(&path).unwrap();
    let refuses = |why: &[&str]| {
        let before = std::fs::read(&path).unwrap();
        let said = fails(&["db", "ls", "--db", path.to_str().unwrap()], 2);
        assert!(
            why.iter().any(|w| said.contains(w)) && said.contains("l.db") && said.contains('→'),
            "{said}"
        );
        assert!(std::fs::read(&path).unwrap() == before, "it was written to");
    };
    std::fs::write(&path, "this is a note\n".repeat(400)).unwrap();
    refuses(&["not a database"]);
    std::fs::write(&path, &sound[..sound.len() / 2]).unwrap();
    refuses(&["malformed", "corrupt"]);
    std::fs::write(&path, &sound).unwrap();
    rusqlite::Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let said = fails(&["db", "ls", "--db", path.to_str().unwrap()], 2);
    assert!(
        said.contains("newer than") && said.contains("update snapprune"),
        "{said}"
    );
    rusqlite::Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 2)
        .unwrap();
    assert_eq!(count(&path), 500);
}

/// Whether a process has a file of this name open.
fn has_open(process: u32, name: &str) -> bool {
    let files = std::fs::read_dir(format!("/proc/{process}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    let mut files = files.filter_map(|f| std::fs::read_link(f.path()).ok());
    files.any(|f| f.file_name().is_some_and(|n| n == name))
}

#[test]
fn a_locked_database_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from.db"), folder.path().join("to.db"));
    database(&from, 100);
    database(&to, 5);
    let holder = rusqlite::Connection::open(&to).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut child = db(&to, &["merge", from.to_str().unwrap()]).spawn().unwrap();
    // It has the file open and wants to write; had it not waited, it would fail.
    while child.try_wait().unwrap().is_none() && !has_open(child.id(), "to.db") {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(200));
    holder.execute_batch("COMMIT").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(count(&to), 100);
}

/// Inspects a model with a library in place of ONNX Runtime.
fn with_library(library: &Path) -> String {
    let output = snapprune()
        .arg("inspect")
        .arg(model("shapes96.onnx"))
        .arg("--ort-lib")
        .arg(library)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(!said.contains("panicked") && said.contains('→'), "{said}");
    said
}

#[test]
fn a_library_that_is_not_onnx_runtime_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    assert!(with_library(&at("nowhere.so")).contains("not a file"));
    std::fs::write(at("text.so"), "no library").unwrap();
    assert!(with_library(&at("text.so")).contains("cannot be used"));
    // Of another architecture: the real one with another machine in its head.
    let mut real = std::fs::read(&runtime().library).unwrap();
    real[18..20].copy_from_slice(&if cfg!(target_arch = "aarch64") { 62u16 } else { 183u16 }.to_le_bytes());
    std::fs::write(at("other.so"), &real).unwrap();
    assert!(with_library(&at("other.so")).contains("cannot be used"));
    std::fs::write(at("cut.so"), &std::fs::read(&runtime().library).unwrap()[..4096]).unwrap();
    assert!(with_library(&at("cut.so")).contains("cannot be used"));
    let made = |name: &str, code: &str| {
        std::fs::write(at("library.c"), code).unwrap();
        let done = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(at(name))
            .arg(at("library.c"))
            .status();
        assert!(done.unwrap().success());
        with_library(&at(name))
    };
    let said = made("empty.so", "int nothing;");
    assert!(said.contains("cannot be used"), "{said}");
    // Too old: it knows no interface of today's version.
    let old = "typedef struct { const void *(*api)(unsigned); const char *(*version)(void); } Base;
        static const void *api(unsigned v) { (void)v; return 0; }
        static const char *version(void) { return \"1.10.0\"; }
        static const Base base = { api, version };
        const Base *OrtGetApiBase(void) { return &base; }";
    let said = made("old.so", old);
    assert!(said.contains("1.10.0"), "{said}");
}

#[test]
fn a_full_disk_or_a_folder_that_cannot_be_written_to_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let original = std::fs::read(model("shapes96_misaligned.onnx")).unwrap();
    let plan = folder.path().join("plan.json");
    plan_of_recorded(folder.path(), &plan);
    let place = folder.path().join("place");
    std::fs::create_dir(&place).unwrap();
    // No file may grow beyond 100 KiB, as if the disk were full.
    let line = "trap '' XFSZ; ulimit -f 100; exec \"$0\" apply \"$1\" \"$2\" -o \"$3\"";
    let output = Command::new("bash")
        .args(["-c", line, env!("CARGO_BIN_EXE_snapprune")])
        .arg(model("shapes96_misaligned.onnx"))
        .arg(&plan)
        .arg(place.join("out.onnx"))
        .env("ORT_DYLIB_PATH", std::fs::canonicalize(&runtime().library).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(2) && said.contains("out.onnx") && said.contains('→'),
        "{said}"
    );
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0, "something was left");
    let nowhere = fails(
        &[
            "apply",
            model("shapes96_misaligned.onnx").to_str().unwrap(),
            plan.to_str().unwrap(),
            "-o",
            "/proc/out.onnx",
        ],
        2,
    );
    assert!(nowhere.contains("/proc/out.onnx") && nowhere.contains('→'), "{nowhere}");
    assert!(std::fs::read(model("shapes96_misaligned.onnx")).unwrap() == original);
}
