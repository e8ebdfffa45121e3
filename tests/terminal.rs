//! What the command shows and how it behaves in a terminal, in a pipe, and when it is interrupted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::command::{fails, model, snapprune};
use common::zoo_model;
use serde_json::Value;
use snapprune::profile::Database;

#[test]
fn a_model_goes_through_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(model("shapes96_misaligned.onnx")).unwrap();
    let run = || {
        snapprune()
            .args(["-", "--cpu", "--threads", "1", "--staircases", "0s", "--db"])
            .arg(folder.path().join("l.db"))
            .write_stdin(bytes.clone())
            .output()
            .unwrap()
    };
    // A machine that is busy with other things may hide the gain once.
    let done = (0..3)
        .map(|_| run())
        .find(|d| d.status.success())
        .expect("no faster model in three tries");
    let written = folder.path().join("out.onnx");
    std::fs::write(&written, &done.stdout).unwrap();
    let said = snapprune().arg("explain").arg(&written).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let hash = blake3::hash(&bytes).to_hex().to_string();
    assert!(said.contains("from stdin.onnx") && said.contains(&hash), "{said}");
    // What is said went elsewhere.
    assert!(String::from_utf8_lossy(&done.stderr).contains("latency"));
    let files: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(
        files
            .iter()
            .all(|f| f == "out.onnx" || f.to_string_lossy().starts_with("l.db")),
        "{files:?}"
    );

    let inspected = snapprune()
        .args(["inspect", "-", "--json"])
        .write_stdin(bytes)
        .output()
        .unwrap();
    let found: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert!(found["groups"].as_array().unwrap().len() > 5);

    let wrong = snapprune()
        .args(["-", "--cpu"])
        .write_stdin("no model")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        said.contains("stdin.onnx: not an ONNX model") && said.contains("→") && wrong.stdout.is_empty(),
        "{said}"
    );
}

#[test]
fn json_and_a_model_do_not_share_standard_output() {
    let net = model("shapes96.onnx");
    let said = fails(&[net.to_str().unwrap(), "--cpu", "--json", "-o", "-"], 2);
    assert!(said.contains("-o"), "{said}");
}

#[test]
fn quiet_prints_nothing_and_nothing_is_coloured() {
    let folder = tempfile::tempdir().unwrap();
    let run = |extra: &[&str]| {
        let done = snapprune()
            .arg(model("shapes96.onnx"))
            .args(["--cpu", "--threads", "1", "--staircases", "0s", "-o"])
            .arg(folder.path().join("out.onnx"))
            .arg("--db")
            .arg(folder.path().join("l.db"))
            .args(extra)
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        (
            String::from_utf8(done.stdout).unwrap(),
            String::from_utf8(done.stderr).unwrap(),
        )
    };
    assert_eq!(run(&["--quiet"]), (String::new(), String::new()));
    let (shown, aside) = run(&[]);
    assert!(
        shown.contains("device") && !shown.contains('\u{1b}') && !aside.contains('\u{1b}'),
        "{shown} {aside}"
    );
    let (verbose, _) = run(&["--verbose"]);
    assert!(
        verbose.contains("graph input") && verbose.len() > shown.len(),
        "{verbose}"
    );
}

/// Sends a signal to a process.
fn signal(id: u32, name: &str) {
    assert!(
        Command::new("kill")
            .arg(format!("-{name}"))
            .arg(id.to_string())
            .status()
            .unwrap()
            .success()
    );
}

/// Starts a long job, and interrupts it when something was measured; its exit status, and what it said.
fn interrupted(net: &Path, folder: &Path, with: &str) -> (Option<i32>, String) {
    let db = folder.join("l.db");
    let mut child = Command::new(env!("CARGO_BIN_EXE_snapprune"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg(net)
        .args(["--cpu", "--threads", "1", "-o"])
        .arg(folder.join("out.onnx"))
        .arg("--db")
        .arg(&db)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let timed = || db.is_file() && Database::open(&db).and_then(|d| d.rows()).is_ok_and(|r| !r.is_empty());
    while !timed() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before anything was measured"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    signal(child.id(), with);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

#[test]
fn an_interrupted_job_leaves_no_half_file_and_keeps_what_it_measured() {
    let Some(net) = zoo_model("googlenet") else { return };
    for with in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let (code, said) = interrupted(&net, folder.path(), with);
        assert_eq!(code, Some(130), "{said}");
        assert!(said.contains("stopped") && said.contains("run it again"), "{said}");
        let files = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name());
        let overhead: Vec<_> = files.filter(|f| !f.to_string_lossy().starts_with("l.db")).collect();
        assert!(overhead.is_empty(), "{overhead:?}");
        let kept = Database::open(&folder.path().join("l.db")).unwrap();
        assert!(!kept.rows().unwrap().is_empty() && kept.faults().unwrap().is_empty());
    }
}

#[test]
fn the_doctor_finds_what_is_here_and_says_what_to_do_about_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("l.db");
    let run = |extra: &[&str]| {
        let done = snapprune()
            .args(["doctor", "--json", "--db"])
            .arg(&db)
            .args(extra)
            .output()
            .unwrap();
        let found: Value = serde_json::from_slice(&done.stdout).unwrap();
        (done.status.code(), found)
    };
    let state = |found: &Value, name: &str| -> String {
        let all = found["checks"].as_array().unwrap().iter();
        let check = all
            .clone()
            .find(|c| c["name"] == name)
            .unwrap_or_else(|| panic!("no {name} in {found:#}"));
        check["state"].as_str().unwrap().to_owned()
    };
    let (code, found) = run(&[]);
    assert_eq!(code, Some(0), "{found:#}");
    for name in ["ONNX Runtime", "runs on the CPU", "database", "temporary files"] {
        assert_eq!(state(&found, name), "ok", "{found:#}");
    }
    let (code, found) = run(&["--ort-lib", "/nowhere/libonnxruntime.so"]);
    assert_eq!((code, state(&found, "ONNX Runtime").as_str()), (Some(1), "fault"));
    let text = folder.path().join("text.so");
    std::fs::write(&text, "no library").unwrap();
    let (code, found) = run(&["--ort-lib", text.to_str().unwrap()]);
    assert_eq!((code, state(&found, "ONNX Runtime").as_str()), (Some(1), "fault"));
    let faults = found["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["state"] != "ok");
    for check in faults {
        assert!(check["todo"].as_str().is_some_and(|t| !t.is_empty()), "{check:#}");
    }
    std::fs::write(&db, "this is not a database, however long it is ".repeat(100)).unwrap();
    let (code, found) = run(&[]);
    assert_eq!(
        (code, state(&found, "database").as_str()),
        (Some(1), "fault"),
        "{found:#}"
    );
    let shown = snapprune().arg("doctor").arg("--db").arg(&db).output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("FAULT") && shown.contains("→ make its folder writable"),
        "{shown}"
    );
}

#[test]
fn shells_complete_and_manuals_are_written() {
    for (shell, part) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef snapprune"),
        ("fish", "complete -c snapprune"),
    ] {
        let done = snapprune().args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(done.stdout).unwrap();
        assert!(script.contains(part) && script.contains("target-latency"), "{shell}");
    }
    let bash = snapprune().args(["completions", "bash"]).output().unwrap().stdout;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.bash"), bash).unwrap();
    let ask = "source c.bash; COMP_WORDS=(snapprune ins); COMP_CWORD=1; _snapprune snapprune ins snapprune; echo ${COMPREPLY[@]}";
    let done = Command::new("bash")
        .current_dir(&folder)
        .args(["-c", ask])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), "inspect", "{done:?}");

    let manuals = folder.path().join("man");
    let done = snapprune().arg("man").arg(&manuals).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let read = |name: &str| std::fs::read_to_string(manuals.join(name)).unwrap();
    assert!(read("snapprune.1").contains("target\\-latency"));
    for command in [
        "bench", "doctor", "explain", "inspect", "profile", "plan", "apply", "pareto", "play", "db", "widths",
    ] {
        assert!(
            read(&format!("snapprune-{command}.1")).contains(".SH NAME"),
            "{command}"
        );
    }
}

#[test]
fn every_error_ends_in_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let net = model("shapes96.onnx").display().to_string();
    let whole = std::fs::read(&net).unwrap();
    let cut = at("cut.onnx", &whole[..whole.len() / 2]);
    let text = at("text.onnx", b"text");
    let empty = at("empty.onnx", b"");
    let plan = at("plan.json", b"{\"schema_version\":1,\"model\":\"other\",\"groups\":[]}");
    let db = at("no.db", &b"no database at all ".repeat(100));
    let no_npz = at("no.npz", b"no samples");
    let cases: &[&[&str]] = &[
        &["/nowhere.onnx"],
        &[&cut, "--cpu"],
        &[&text, "--cpu"],
        &[&empty, "--cpu"],
        &[&net, "--cpu", "--db", &db],
        &[&net, "--cpu", "--calib", &no_npz, "--target-latency", "0.9x"],
        &[&net, "--cpu", "--calib", "/nowhere.npz", "--target-latency", "0.9x"],
        &[&net, "--cpu", "--profile", &text],
        &[&net, "--cpu", "--keep", "nothing"],
        &[&net, "--cpu", "--target-latency", "fast"],
        &["apply", &net, &plan, "-o", "/tmp/never.onnx"],
        &["apply", &net, &text, "-o", "/tmp/never.onnx"],
        &["explain", &net],
        &["inspect", "/nowhere.onnx"],
        &["bench", "/nowhere.onnx"],
        &["widths", &net, "--device", "abacus"],
        &["db", "show", "nothing", "--db", &db],
        &["db", "ls", "--db", "/nowhere.db"],
        &["zoology"],
    ];
    for case in cases {
        let said = fails(case, 2);
        let last = said.trim_end().lines().last().unwrap_or_default().to_owned();
        assert!(last.contains("→") || last.contains("--help"), "{case:?}: {said}");
    }
}
