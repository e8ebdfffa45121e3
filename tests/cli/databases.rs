//! Databases and recorded profiles.

use std::path::Path;

use crate::common::command::{fails, model, optimized, snapprune};
use serde_json::Value;

#[test]
fn a_recorded_profile_is_used_on_its_device_and_refused_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("profile.json");
    let db = folder.path().join("a.db");
    let off = model("shapes96_misaligned.onnx");
    let done = snapprune()
        .arg("profile")
        .arg(&off)
        .args(["--cpu", "--threads", "1", "--step", "16", "--reach", "1.1", "-o"])
        .arg(&profile)
        .arg("--db")
        .arg(&db)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{text}");
    assert!(
        text.contains('◄') && text.contains('●') && text.contains("Conv 3×3 from"),
        "{text}"
    );
    let recorded: Value = serde_json::from_slice(&std::fs::read(&profile).unwrap()).unwrap();
    assert_eq!(recorded["schema_version"], 1);
    assert!(
        recorded["records"]
            .as_array()
            .unwrap()
            .iter()
            .all(|r| !r["samples"].as_array().unwrap().is_empty())
    );

    let fresh = tempfile::tempdir().unwrap();
    let (_, report) = optimized(fresh.path(), &["--profile", profile.to_str().unwrap()]);
    assert!(report["probes"]["reused"].as_u64() > Some(5), "{:#}", report["probes"]);

    // Another stack's profile is refused.
    let refused = fails(
        &[
            off.to_str().unwrap(),
            "--cpu",
            "--threads",
            "2",
            "--profile",
            profile.to_str().unwrap(),
            "-o",
            folder.path().join("o.onnx").to_str().unwrap(),
        ],
        2,
    );
    assert!(refused.contains("was recorded on"), "{refused}");
}

#[test]
fn a_database_is_listed_exported_merged_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.db"), folder.path().join("b.db"));
    let lines = folder.path().join("all.jsonl");
    let db = |db: &Path, args: &[&str]| {
        let output = snapprune().arg("db").args(args).arg("--db").arg(db).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let done = snapprune()
        .arg("profile")
        .arg(model("shapes96.onnx"))
        .args(["--cpu", "--threads", "1", "--step", "64", "--reach", "1", "--db"])
        .arg(&a)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let (_, listed) = db(&a, &["ls"]);
    assert!(
        listed.contains("problems") && listed.contains("cpu threads=1"),
        "{listed}"
    );
    let device = listed.split_whitespace().next().unwrap();
    assert!(db(&a, &["show", &device[..6]]).1.contains("Conv [3, 3]"));
    assert_eq!(db(&a, &["show", "nothing"]).0, Some(2));
    assert_eq!(db(&a, &["export", lines.to_str().unwrap()]).0, Some(0));
    let count = std::fs::read_to_string(&lines).unwrap().lines().count();
    assert!(count > 5);
    assert!(
        db(&b, &["import", lines.to_str().unwrap()])
            .1
            .contains(&format!("{count} records taken over"))
    );
    assert!(
        db(&b, &["merge", a.to_str().unwrap()])
            .1
            .contains("0 records taken over")
    );
    assert_eq!(db(&b, &["verify"]), (Some(0), format!("{count} records, 0 faults\n")));
    assert!(db(&b, &["gc"]).1.contains("0 records removed"));
    std::fs::write(&lines, "{\"not\": \"a record\"}\n").unwrap();
    assert_eq!(db(&b, &["import", lines.to_str().unwrap()]).0, Some(2));
    std::fs::write(
        folder.path().join("text.db"),
        "this is not a database, it is a text of some length",
    )
    .unwrap();
    assert_eq!(db(&folder.path().join("text.db"), &["ls"]).0, Some(2));
}

#[test]
fn processes_that_share_a_database_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("shared.db");
    let run = |step: &str| {
        std::process::Command::new(env!("CARGO_BIN_EXE_snapprune"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .arg("profile")
            .arg(model("shapes96.onnx"))
            .args(["--cpu", "--threads", "1", "--reach", "1.1", "--step", step, "--db"])
            .arg(&db)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (one, two) = (run("32"), run("48"));
    let timed: usize = [one, two]
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{text}");
            assert!(text.contains("problems timed"), "{text}");
            1
        })
        .sum();
    assert_eq!(timed, 2);
    for step in ["32", "48"] {
        let output = run(step).wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("\n0 problems timed"), "{text}");
    }
}

#[test]
fn what_is_known_is_timed_again_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("l.db");
    let run = |more: &[&str]| {
        let mut command = snapprune();
        command.arg("profile").arg(model("shapes96.onnx")).args(more);
        command
            .args(["--cpu", "--threads", "1", "--reach", "1.1", "--step", "48", "--db"])
            .arg(&db);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|l| l.contains("problems timed")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{output:?}"))
    };
    let first = run(&[]);
    let timed = first.split_whitespace().next().unwrap();
    assert!(first.contains(" problems timed, 0 reused"), "{first}");
    assert!(run(&[]).starts_with(&format!("0 problems timed, {timed} reused")));
    let again = run(&["--remeasure"]);
    assert!(
        again.starts_with(&format!("{timed} problems timed, 0 reused")),
        "{again}"
    );
    // The new times took the place of the old ones.
    assert!(run(&["--remeasure=1"]).starts_with(&format!("0 problems timed, {timed} reused")));
    let wrong = snapprune()
        .args(["profile", "m", "--remeasure=yesterday"])
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}
