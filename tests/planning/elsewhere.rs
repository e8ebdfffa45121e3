//! Databases of other machines, and plans for devices that are not here.

use super::profile;
use crate::common::command::{fails, model, snapprune};
use crate::common::priced::Silent;
use crate::common::runtime;
use serde_json::Value;
use snapprune::device::{DeviceInfo, DeviceKind, RecordedDevice, ShapeOptions};
use snapprune::optimize::{Known, Options, Workload, open, optimize};
use snapprune::profile::{Database, Profile, Record, RecordFacts, layers};

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
        kind: DeviceKind::Cuda,
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
    assert!(
        nothing.model.is_none()
            && nothing
                .declined
                .unwrap()
                .to_string()
                .contains("none of this model's layers")
    );
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
