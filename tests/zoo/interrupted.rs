//! Killed drivers and failing models.

use super::{done, journals, models, outputs, report, zoo};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::common::browser::look;
use crate::common::chance::seed;
use crate::common::command::model;
use crate::common::recorded::profile;
use serde_json::Value;

fn is_finished(entry: &Value) -> bool {
    matches!(
        entry["state"].as_str().unwrap(),
        "written" | "planned" | "declined" | "failed"
    )
}

#[test]
fn killed_at_three_moments_it_ends_with_the_same_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a/one", "a/two", "b/three", "four", "five", "six", "seven", "eight"];
    let (models, profile) = (models(folder.path(), &names), profile(folder.path()));
    let whole = folder.path().join("whole");
    let begin = Instant::now();
    let (code, said) = done(zoo(&models, &whole, &profile, &["--jobs", "2"]));
    let took = begin.elapsed();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(outputs(&whole, &names).len(), names.len());

    let out = folder.path().join("killed");
    let mut finished: BTreeMap<String, Value> = BTreeMap::new();
    let mut random = fastrand::Rng::with_seed(seed());
    for _ in 0..3 {
        let share = 0.2 + 0.6 * random.f64();
        let mut child = zoo(&models, &out, &profile, &["--jobs", "2"]).spawn().unwrap();
        std::thread::sleep(took.mul_f64(share));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = journals(&out, &names);
        for (name, entry) in &finished {
            assert_eq!(now.get(name), Some(entry), "{name} was done again");
        }
        finished.extend(now.into_iter().filter(|(_, e)| is_finished(e)));
    }
    let (code, said) = done(zoo(&models, &out, &profile, &["--jobs", "2"]));
    assert_eq!(code, Some(0), "{said}");
    let now = journals(&out, &names);
    for (name, entry) in &finished {
        assert_eq!(now.get(name), Some(entry), "{name} was done again");
    }
    assert_eq!(outputs(&out, &names), outputs(&whole, &names));
    let totals = &report(&out)["totals"];
    assert_eq!(
        (totals["models"].as_u64(), totals["written"].as_u64()),
        (Some(8), Some(8)),
        "{totals}"
    );

    // Once more: nothing to do; then what changed is done again, and that alone.
    let (code, said) = done(zoo(&models, &out, &profile, &[]));
    assert!(code == Some(0) && said.contains("(8 were finished before)"), "{said}");
    std::fs::copy(model("shapes96.onnx"), models.join("four.onnx")).unwrap();
    std::fs::remove_file(out.join("five.snap.onnx")).unwrap();
    let (_, said) = done(zoo(&models, &out, &profile, &[]));
    assert!(said.contains("(6 were finished before)"), "{said}");
    let after = journals(&out, &names);
    for (name, entry) in &now {
        assert_eq!(
            after[name] == *entry,
            !["four", "five"].contains(&name.as_str()),
            "{name}"
        );
    }
    assert_eq!(outputs(&out, &names)["five"], outputs(&whole, &names)["five"]);
}

/// The newest child of a process.
fn newest_child(parent: u32) -> Option<u32> {
    let own = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit(") ").next().unwrap_or_default().to_owned();
        let mut fields = after.split(' ');
        let state = fields.next().unwrap_or("Z").to_owned();
        state != "Z" && fields.next().and_then(|p| p.parse().ok()) == Some(parent)
    };
    let all = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    all.filter(own).max()
}

/// Sends a signal to the process that is at a model, as soon as it is.
fn signal(zoo: &mut Child, out: &Path, name: &str, signal: &str) {
    while zoo.try_wait().unwrap().is_none() {
        let at_it = journals(out, &[name])
            .get(name)
            .is_some_and(|e| e["state"] == "running");
        if let Some(child) = newest_child(zoo.id()).filter(|_| at_it) {
            let log = std::fs::read_link(format!("/proc/{child}/fd/2")).unwrap_or_default();
            if log.ends_with(format!("{name}.log")) {
                assert!(
                    Command::new("kill")
                        .args([signal, &child.to_string()])
                        .status()
                        .unwrap()
                        .success()
                );
                return;
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("nothing began on {name}");
}

#[test]
fn what_goes_wrong_with_a_model_costs_that_model() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["crashes", "fine", "hangs", "killed", "last"];
    let (models, profile) = (models(folder.path(), &names), profile(folder.path()));
    let bytes = std::fs::read(model("shapes96_misaligned.onnx")).unwrap();
    std::fs::write(models.join("truncated.onnx"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(models.join("text.onnx"), "this is a note, not a model\n").unwrap();
    std::fs::write(models.join("empty.onnx"), "").unwrap();
    let out = folder.path().join("out");
    let mut child = zoo(&models, &out, &profile, &["--jobs", "1", "--timeout", "8s"])
        .spawn()
        .unwrap();
    signal(&mut child, &out, "crashes", "-ILL");
    signal(&mut child, &out, "hangs", "-STOP");
    signal(&mut child, &out, "killed", "-KILL");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(5), "{said}");
    let found = journals(
        &out,
        &[
            "crashes",
            "fine",
            "hangs",
            "killed",
            "last",
            "truncated",
            "text",
            "empty",
        ],
    );
    let is = |name: &str, failure: &str, why: &str| {
        let entry = &found[name];
        assert_eq!(entry["trouble"], failure, "{entry}");
        assert!(entry["reason"].as_str().unwrap().contains(why), "{entry}");
        assert!(said.contains(&format!(" {name}: ")), "{said}");
    };
    is("crashes", "crash", "illegal instruction");
    is("hangs", "timeout", "longer than 8s");
    is("killed", "memory", "memory is short");
    is("truncated", "input", "not an ONNX model");
    is("text", "input", "not an ONNX model");
    is("empty", "input", "not an ONNX model");
    for name in ["fine", "last"] {
        assert_eq!(found[name]["state"], "written");
    }
    // The report tells of them all.
    let all = report(&out);
    assert_eq!(
        all["totals"]["failed"],
        serde_json::json!({"input": 3, "memory": 1, "timeout": 1, "crash": 1})
    );
    let csv = std::fs::read_to_string(out.join("zoo.csv")).unwrap();
    assert_eq!(csv.lines().count(), 9, "{csv}");
    assert!(
        csv.lines().all(|l| !l.contains('"') || l.matches('"').count() % 2 == 0),
        "{csv}"
    );
    let html = std::fs::read_to_string(out.join("zoo.html")).unwrap();
    for (name, width) in [("wide", 1280), ("narrow", 390)] {
        if let Some(seen) = look(&html, width, folder.path()) {
            assert!(seen.console.is_empty() && seen.overflow.is_empty(), "{name}: {seen:?}");
        }
    }
    assert!(["<script", "src=", "http"].iter().all(|part| !html.contains(part)));

    // What failed stays so, unless asked for.
    let (code, said) = done(zoo(&models, &out, &profile, &[]));
    assert!(code == Some(5) && said.contains("(8 were finished before)"), "{said}");
    let (code, said) = done(zoo(&models, &out, &profile, &["--retry-failed"]));
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(report(&out)["totals"]["written"], 5, "{said}");
    let again = journals(&out, &names);
    assert_eq!(
        (
            again["crashes"]["attempts"].as_u64(),
            again["fine"]["attempts"].as_u64()
        ),
        (Some(2), Some(1))
    );
}
