//! Planning from databases and profiles, for several workloads, and for GPUs that are not here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::Path;

use common::command::{fails, model, optimized, snapprune};
use common::recorded::{plan_of_recorded, profile as recorded};
use common::{cpu, runtime, shared};
use serde_json::Value;
use snapprune::data::{Dataset, Scaling};
use snapprune::device::{DeviceInfo, RecordedDevice, ShapeOptions};
use snapprune::optimize::{Known, Options, ProgressReporter, Workload, open, optimize};
use snapprune::profile::{Database, Profile, Record, RecordFacts, layers};
use snapprune::verify::{classes, compare_task};

struct Silent;

impl ProgressReporter for Silent {
    fn step(&self, _: &str) {}
    fn progress(&self, _: usize, _: usize) {}
}

fn profile(db: &Path, extra: &[&str]) -> String {
    let done = snapprune()
        .arg("profile")
        .arg(model("shapes96.onnx"))
        .args(["--cpu", "--step", "32", "--reach", "1.1", "--db"])
        .arg(db)
        .args(extra)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[test]
fn a_shared_database_is_read_and_never_written_and_other_stacks_serve_only_when_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let (shared, own) = (folder.path().join("shared.db"), folder.path().join("own.db"));
    let first = profile(&shared, &["--threads", "1"]);
    assert!(
        first.contains(" problems timed, 0 reused") && !first.contains("\n0 problems"),
        "{first}"
    );
    let before = Database::open(&shared).unwrap().rows().unwrap();
    let with = ["--shared-db", shared.to_str().unwrap()];
    let again = profile(&own, &[&["--threads", "1"], &with[..]].concat());
    assert!(again.contains("\n0 problems timed"), "{again}");
    let allowed = profile(&own, &[&["--threads", "2", "--allow-mismatch"], &with[..]].concat());
    assert!(allowed.contains("\n0 problems timed"), "{allowed}");
    let refused = profile(&own, &[&["--threads", "2"], &with[..]].concat());
    assert!(!refused.contains("\n0 problems timed"), "{refused}");
    assert_eq!(before, Database::open(&shared).unwrap().rows().unwrap());
}

#[test]
fn tables_of_the_first_version_are_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(
        "CREATE TABLE probe (device TEXT NOT NULL, stack TEXT NOT NULL, problem TEXT NOT NULL,
             samples TEXT NOT NULL, made INTEGER NOT NULL DEFAULT (unixepoch()),
             PRIMARY KEY (device, stack, problem)) WITHOUT ROWID;
         CREATE TABLE device (fingerprint TEXT PRIMARY KEY, name TEXT NOT NULL);
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    let mut database = Database::open(&path).unwrap();
    let (info, record) = (elsewhere(), records().remove(0));
    database.store(&info, std::slice::from_ref(&record)).unwrap();
    assert_eq!(database.find(&info, &record.problem).unwrap(), Some(record));
    assert!(Database::open(&path).is_ok());
}

fn elsewhere() -> DeviceInfo {
    DeviceInfo {
        kind: "cuda".to_owned(),
        name: "A GPU elsewhere".to_owned(),
        fingerprint: "0123456789abcdef".to_owned(),
        stack: "made up".to_owned(),
        ..Default::default()
    }
}

/// Times of latency steps of 16 channels on both sides, at every multiple of 4 around the present widths.
fn records() -> Vec<Record> {
    let opened = open(&model("shapes96_misaligned.onnx"), &runtime(), &ShapeOptions::default()).unwrap();
    let graph = opened.graph().unwrap();
    let mut found: Vec<Record> = Vec::new();
    let around = |w: usize| (w..w + w / 3 + 16).filter(move |&v| v == w || v.is_multiple_of(4));
    for layer in layers(&graph, &opened.analysis) {
        let p = &layer.problem;
        for cin in around(p.cin) {
            for cout in around(p.cout) {
                if p.is_depthwise() && cin != cout {
                    continue;
                }
                // Past a block's edge, a layer off the block pays double.
                let off = if cin % 16 == 0 && cout % 16 == 0 { 1.0 } else { 2.0 };
                let ms = off * (cin.div_ceil(16) * cout.div_ceil(16)) as f64;
                found.push(Record {
                    problem: layer.at(cin, cout),
                    samples: vec![ms; 5],
                    facts: RecordFacts::default(),
                });
            }
        }
    }
    found
}

#[test]
fn a_plan_for_a_device_elsewhere_says_what_is_unverified() {
    let opened = open(&model("shapes96_misaligned.onnx"), &runtime(), &ShapeOptions::default()).unwrap();
    let workloads = [Workload { opened, weight: 1.0 }];
    let device = RecordedDevice::new(runtime(), elsewhere());
    let plan = |records: Vec<Record>| {
        let profile = Profile {
            schema_version: 1,
            device: elsewhere(),
            records,
        };
        let known = Known {
            recorded: Some(profile),
            ..Known::default()
        };
        optimize(&workloads, &device, known, &Options::default(), &Silent).unwrap()
    };
    let outcome = plan(records());
    assert!(outcome.model.is_some(), "{:?}", outcome.declined);
    assert!(outcome.agreement.as_ref().unwrap().holds());
    assert!(outcome.latency.is_none() && outcome.predicted_ratio().unwrap() < 0.97);
    assert!(outcome.unverified[0].contains("A GPU elsewhere is not here"));
    let moved = |g: &&snapprune::optimize::GroupRow| g.before != g.after;
    assert!(outcome.groups.iter().filter(moved).all(|g| g.after.is_multiple_of(16)));
    assert_eq!((outcome.probes.made, outcome.probes.reused > 10), (0, true));

    let nothing = plan(Vec::new());
    assert!(nothing.model.is_none() && nothing.declined.unwrap().contains("none of this model's layers"));
}

#[test]
fn several_batches_count_by_their_shares() {
    let folder = tempfile::tempdir().unwrap();
    let (_, report) = optimized(folder.path(), &["--batch", "1:3,2:1", "--time-budget", "20s"]);
    let workloads = report["loads"].as_array().unwrap();
    let weights: Vec<f64> = workloads.iter().map(|l| l["weight"].as_f64().unwrap()).collect();
    assert_eq!(weights, [0.75, 0.25]);
    assert_eq!(workloads[1]["inputs"][0]["dims"][0], 2);
    assert!(report["probes"]["exhaustive"].as_u64() > report["probes"]["made"].as_u64());
    let wrong = fails(&["models/shapes96.onnx", "--cpu", "--batch", "1:x"], 2);
    assert!(wrong.contains("1:0.7,8:0.3"), "{wrong}");
}

#[test]
fn no_time_at_all_leaves_the_model_alone_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (code, report) = optimized(folder.path(), &["--time-budget", "0s"]);
    assert_eq!(code, Some(1), "{report:#}");
    assert!(
        report["declined"].as_str().unwrap().contains("time was up"),
        "{report:#}"
    );
    assert!(report["probes"]["skipped"].as_u64() > Some(0));
    let wrong = fails(&["models/shapes96.onnx", "--cpu", "--time-budget", "5 weeks"], 2);
    assert!(wrong.contains("60s"), "{wrong}");
}

#[test]
fn widths_for_a_gpu_that_is_not_here_are_marked_as_predicted() {
    let run = |device: &str| {
        let done = snapprune()
            .arg("widths")
            .arg(model("shapes96_misaligned.onnx"))
            .args(["--device", device, "--json"])
            .output()
            .unwrap();
        serde_json::from_slice::<Value>(&done.stdout).unwrap()
    };
    let report = run("l4");
    assert_eq!(
        (&report["predicted"], &report["device"]),
        (&Value::Bool(true), &Value::from("L4"))
    );
    let layers = report["layers"].as_array().unwrap();
    assert!(layers.len() > 10);
    for layer in layers {
        let widths: Vec<u64> = layer["candidates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["width"].as_u64().unwrap())
            .collect();
        assert!(
            widths.is_sorted() && widths.contains(&layer["cout"].as_u64().unwrap()),
            "{layer:#}"
        );
    }
    assert_ne!(report["layers"], run("A100")["layers"]);
    let unknown = fails(&["widths", "models/shapes96.onnx", "--device", "Z9"], 2);
    assert!(unknown.contains("A100") && unknown.contains("L4"), "{unknown}");
}

#[test]
fn a_plan_is_written_edited_and_applied() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let off = model("shapes96_misaligned.onnx");
    plan_of_recorded(folder.path(), &at("plan.json"));
    let text = std::fs::read_to_string(at("plan.json")).unwrap();
    let mut plan: Value = serde_json::from_str(&text).unwrap();
    let apply = |plan: &Value, extra: &[&str]| {
        std::fs::write(at("edited.json"), plan.to_string()).unwrap();
        let mut command = snapprune();
        command
            .arg("apply")
            .arg(&off)
            .arg(at("edited.json"))
            .arg("-o")
            .arg(at("out.onnx"))
            .args(extra);
        let done = command.output().unwrap();
        let text = [done.stdout, done.stderr].concat();
        (done.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let (code, said) = apply(&plan, &[]);
    assert_eq!(code, Some(0), "{said}");
    let written = snapprune::onnx::load(&at("out.onnx")).unwrap().proto;
    let graph = written.graph.as_ref().unwrap();
    // Every weight has the shape that the plan tells a training script.
    let mut checked = 0;
    for (name, axes) in plan["weights"].as_object().unwrap() {
        let Some(weight) = graph.initializer.iter().find(|t| t.name() == name) else {
            continue;
        };
        for (axis, order) in axes.as_object().unwrap() {
            let axis: usize = axis.parse().unwrap();
            assert_eq!(weight.dims[axis] as usize, order.as_array().unwrap().len(), "{name}");
            checked += 1;
        }
    }
    assert!(checked > 3, "{checked}");

    // Fewer channels than the plan keeps: possible, and said.
    let kept = plan["groups"][0]["kept"].as_array().unwrap()[1..].to_vec();
    plan["groups"][0]["width_after"] = Value::from(kept.len());
    plan["groups"][0]["kept"] = Value::from(kept);
    let (code, said) = apply(&plan, &[]);
    assert!(code == Some(0) && said.contains("carried something"), "{said}");
    for (key, value, hint) in [
        ("width_before", Value::from(7), "not those of this model"),
        ("kept", serde_json::json!([1, 1]), "ascending"),
        ("width_after", Value::from(1), "or more"),
        ("group", Value::from(10_000), "no such group"),
        ("width_after", Value::from(1_000_000), "64 times"),
    ] {
        let mut broken = plan.clone();
        broken["groups"][0][key] = value;
        let (code, said) = apply(&broken, &[]);
        assert!(code == Some(2) && said.contains(hint), "{key}: {said}");
    }
    plan["model"] = Value::from("other");
    let (code, said) = apply(&plan, &[]);
    assert!(code == Some(2) && said.contains("--other-weights"), "{said}");
    assert_eq!(apply(&plan, &["--other-weights"]).0, Some(0));
}

#[test]
fn layers_named_by_the_user_stay_and_nothing_grows_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let profile = recorded(folder.path());
    // The first layers of the groups that grow, with whatever else is asked for.
    let grown = |extra: &[&str]| -> Vec<String> {
        let done = snapprune()
            .arg(model("shapes96_misaligned.onnx"))
            .args(["--json", "-o"])
            .arg(folder.path().join("out.onnx"))
            .arg("--profile")
            .arg(&profile)
            .args(extra)
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&done.stdout).unwrap();
        let groups = report["groups"].as_array().unwrap().clone();
        let grow = groups.into_iter().filter(|g| g["action"] == "grow");
        grow.map(|g| g["layers"][0].as_str().unwrap().to_owned()).collect()
    };
    let all = grown(&[]);
    assert!(all.len() > 1, "{all:?}");
    assert_eq!(grown(&["--grow", "none"]), [""; 0]);
    let kept = grown(&["--keep", &all[0]]);
    assert!(!kept.contains(&all[0]) && !kept.is_empty(), "{kept:?}");
    let unknown = fails(
        &[
            "models/shapes96.onnx",
            "--cpu",
            "--keep",
            "nowhere",
            "-o",
            "/tmp/x.onnx",
        ],
        2,
    );
    assert!(unknown.contains("inspect"), "{unknown}");
}

#[test]
fn the_cifar_models_have_their_published_accuracy_on_real_images() {
    let Some(shared) = shared() else {
        return;
    };
    let scaling = Scaling {
        mean: vec![0.485, 0.456, 0.406],
        std: vec![0.229, 0.224, 0.225],
    };
    let path = shared.join("models/trained/resnet20_cifar10.onnx");
    let opened = open(&path, &runtime(), &ShapeOptions::default()).unwrap();
    let data = Dataset::read(&shared.join("data/cifar10/eval.npz"), &opened.specs, &scaling).unwrap();
    let model = std::fs::read(&path).unwrap();
    let found = classes(&cpu(), &model, &data, &|_, _| {}).unwrap();
    assert_eq!(found.best.len(), 5000);
    let top1 = found.right.unwrap().0 as f64 / 5000.0;
    assert!((top1 - 0.9128).abs() < 0.001, "{top1}");
    let told = std::cell::RefCell::new(Vec::new());
    let tell = |done, total| told.borrow_mut().push((done, total));
    let same = compare_task(&cpu(), &model, &model, &data, &tell).unwrap().unwrap();
    let told = told.into_inner();
    assert!(
        told.is_sorted() && told.last().is_some_and(|(done, total)| done == total),
        "{told:?}"
    );
    assert_eq!((same.agreement, same.top1.unwrap().0), (1.0, top1));
}

#[test]
fn the_main_job_and_bench_report_accuracy() {
    let folder = tempfile::tempdir().unwrap();
    let eval = ["--eval", "models/shapes96_eval.npz", "--mean", "0.5", "--std", "0.5"];
    // On a recorded device, so that there is a faster model.
    let profile = recorded(folder.path());
    let done = snapprune()
        .arg(model("shapes96_misaligned.onnx"))
        .args(["--json", "-o"])
        .arg(folder.path().join("out.onnx"))
        .arg("--profile")
        .arg(profile)
        .args(eval)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let verify = &report["verify"];
    assert_eq!(
        (&verify["agreement"], &verify["samples"]),
        (&Value::from(1.0), &Value::from(150))
    );
    // Channels were cut from this model without any care; growing it back changes no class.
    assert!(verify["top1"]["static"].as_f64() > Some(0.0), "{verify:#}");
    assert_eq!(verify["top1"]["static"], verify["top1"]["original"]);
    let done = snapprune()
        .args([
            "bench",
            "models/shapes96.onnx",
            "--cpu",
            "--threads",
            "1",
            "--seconds",
            "0.1",
            "--json",
        ])
        .args(eval)
        .output()
        .unwrap();
    let bench: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(bench["models"][0]["top1"].as_f64() > Some(0.9), "{bench:#}");
}
