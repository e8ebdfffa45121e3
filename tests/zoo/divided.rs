//! Shards, manifests and phases: the work in parts.

use super::{done, journals, models, outputs, report, zoo};
use std::path::Path;

use crate::common::command::{fails, model, snapprune};
use crate::common::recorded::profile;
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
