//! Zoos: many models, interrupted at any moment, with models that fail in every way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::browser::look;
use common::chance::seed;
use common::command::{fails, model, snapprune};
use common::recorded::profile;
use serde_json::Value;
use snapprune::profile::Profile;

#[test]
fn a_plan_is_the_same_for_the_same_profile_in_whatever_order_its_times_stand() {
    let folder = tempfile::tempdir().unwrap();
    let file = profile(folder.path());
    let plan = |name: &str| {
        let out = folder.path().join(name);
        let mut command = snapprune();
        command
            .arg("plan")
            .arg(model("shapes96_misaligned.onnx"))
            .arg("-o")
            .arg(&out);
        let done = command.arg("--profile").arg(&file).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        std::fs::read_to_string(out).unwrap()
    };
    let first = plan("first.json");
    assert!(first.contains("\"width_after\""), "{first}");
    assert_eq!(plan("second.json"), first);
    // Widths of one stair take the same time, to the last digit: which is taken must not hang on the order.
    let mut recorded: Profile = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    recorded.records.reverse();
    std::fs::write(&file, recorded.text()).unwrap();
    assert_eq!(plan("third.json"), first);
}

/// A folder with models of these names, all the misaligned one.
fn models(folder: &Path, names: &[&str]) -> PathBuf {
    let models = folder.join("models");
    for name in names {
        let file = models.join(format!("{name}.onnx"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::copy(model("shapes96_misaligned.onnx"), file).unwrap();
    }
    models
}

/// `snapprune zoo`, to be run here or started.
fn zoo(models: &Path, out: &Path, profile: &Path, extra: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snapprune"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("zoo")
        .arg(models)
        .arg("--out")
        .arg(out);
    command
        .arg("--profile")
        .arg(profile)
        .arg("--db")
        .arg(out.with_extension("db"))
        .args(extra);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn done(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    (output.status.code(), said)
}

fn report(out: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(out.join("zoo.json")).unwrap()).unwrap()
}

/// All journals, by the models' names; those that are being replaced are whole, too.
fn journals(out: &Path, names: &[&str]) -> BTreeMap<String, Value> {
    let read = |n: &&str| {
        let text = std::fs::read_to_string(out.join(format!("journal/{n}.json"))).ok()?;
        Some((
            (*n).to_owned(),
            serde_json::from_str(&text).expect("a journal is whole at every moment"),
        ))
    };
    names.iter().filter_map(read).collect()
}

fn is_finished(entry: &Value) -> bool {
    matches!(
        entry["state"].as_str().unwrap(),
        "written" | "planned" | "declined" | "failed"
    )
}

/// What was written for the models, without what tells of the moment.
fn outputs(out: &Path, names: &[&str]) -> BTreeMap<String, blake3::Hash> {
    let hash = |n: &&str| {
        Some((
            (*n).to_owned(),
            blake3::hash(&std::fs::read(out.join(format!("{n}.snap.onnx"))).ok()?),
        ))
    };
    names.iter().filter_map(hash).collect()
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

#[test]
fn shards_share_the_models_and_read_what_schedulers_set() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["m0", "m1", "m2", "m3", "m4"];
    let (models, profile) = (models(folder.path(), &names), profile(folder.path()));
    let out = folder.path().join("out");
    let (code, said) = done(zoo(&models, &out, &profile, &["--shard", "0/2"]));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        outputs(&out, &names).into_keys().collect::<Vec<_>>(),
        ["m0", "m2", "m4"]
    );
    assert_eq!(report(&out)["totals"]["pending"], 2);
    let mut slurm = zoo(&models, &out, &profile, &["--shard", "auto"]);
    slurm.envs([
        ("SLURM_ARRAY_TASK_ID", "4"),
        ("SLURM_ARRAY_TASK_MIN", "3"),
        ("SLURM_ARRAY_TASK_COUNT", "2"),
    ]);
    let (code, said) = done(slurm);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(outputs(&out, &names).len(), 5);
    assert_eq!(report(&out)["totals"]["written"], 5);
    let other = folder.path().join("other");
    let mut kubernetes = zoo(&models, &other, &profile, &["--shard", "auto"]);
    kubernetes.envs([("JOB_COMPLETION_INDEX", "1"), ("JOB_COMPLETIONS", "5")]);
    let (code, said) = done(kubernetes);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(outputs(&other, &names).into_keys().collect::<Vec<_>>(), ["m1"]);
    let said = fails(
        &["zoo", "models", "--out", other.to_str().unwrap(), "--shard", "5/5"],
        2,
    );
    assert!(said.contains("share 5 of 5"), "{said}");
}

#[test]
fn a_manifest_names_models_with_flags_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let (models, profile) = (models(folder.path(), &["m"]), profile(folder.path()));
    let manifest = folder.path().join("zoo.jsonl");
    let rows = [
        serde_json::json!({"model": "models/m.onnx", "name": "as/it/is"}),
        serde_json::json!({"model": "models/m.onnx", "name": "kept", "grow": "none"}),
        serde_json::json!({"model": models.join("gone.onnx"), "batch": 4}),
    ];
    std::fs::write(&manifest, rows.map(|r| r.to_string()).join("\n")).unwrap();
    let out = folder.path().join("out");
    let (code, said) = done(zoo(&manifest, &out, &profile, &["--plan-only"]));
    assert_eq!(code, Some(3), "{said}");
    let found = journals(&out, &["as/it/is", "kept", "gone"]);
    assert_eq!(found["as/it/is"]["state"], "planned");
    assert_eq!(found["kept"]["state"], "declined");
    assert!(
        found["gone"]["reason"].as_str().unwrap().contains("gone.onnx"),
        "{found:?}"
    );
    // The plan is one that `apply` takes, and gives the model that the zoo writes.
    let plan = out.join("as/it/is.plan.json");
    let made = folder.path().join("made.onnx");
    let applied = snapprune()
        .arg("apply")
        .args([&models.join("m.onnx"), &plan])
        .arg("-o")
        .arg(&made)
        .output()
        .unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    std::fs::write(&manifest, r#"{"model": "models/m.onnx", "bach": 4}"#).unwrap();
    let nothing = folder.path().join("nothing");
    let (code, said) = done(zoo(&manifest, &nothing, &profile, &[]));
    assert!(
        code == Some(2) && said.contains("--bach") && !nothing.exists(),
        "{said}"
    );
}

#[test]
fn phases_run_apart_and_no_problem_is_timed_twice() {
    let folder = tempfile::tempdir().unwrap();
    let models = models(folder.path(), &["one", "same"]);
    let out = folder.path().join("out");
    let run = |phase: &str| {
        let mut command = snapprune();
        command.arg("zoo").arg(&models).arg("--out").arg(&out).args([
            "--cpu",
            "--threads",
            "1",
            "--phase",
            phase,
            "--db",
        ]);
        let output = command.arg(out.with_extension("db")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said)
    };
    let states = |out: &Path| -> Vec<Value> {
        journals(out, &["one", "same"])
            .into_values()
            .map(|e| e["state"].clone())
            .collect()
    };
    assert_eq!(run("collect").0, Some(0));
    assert_eq!(states(&out), ["collected", "collected"]);
    let (code, said) = run("profile");
    assert_eq!(code, Some(0), "{said}");
    assert!(outputs(&out, &["one", "same"]).is_empty());
    let (code, said) = run("apply");
    let all = report(&out);
    // Whatever this machine is: the status tells whether every model was made faster.
    let written = all["totals"]["written"].as_u64().unwrap();
    assert_eq!(code, Some(i32::from(written < 2)), "{said}");
    let probes = &all["totals"]["probes"];
    assert!(probes["share"].as_f64().unwrap() <= 0.6, "{probes}");
    for entry in all["models"].as_array().unwrap() {
        let numbers = &entry["numbers"]["probes"];
        assert!(numbers[0].as_u64().unwrap() < numbers[1].as_u64().unwrap(), "{entry}");
        // Nothing is written that was not measured to be faster.
        if entry["state"] == "written" {
            assert!(entry["numbers"]["ratio"][0].as_f64().unwrap() < 1.0, "{entry}");
        }
    }
    let said = fails(
        &[
            "zoo",
            "models",
            "--out",
            out.to_str().unwrap(),
            "--phase",
            "collect,apply",
        ],
        2,
    );
    assert!(said.contains("leaves out the one between"), "{said}");
}
