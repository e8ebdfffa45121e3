//! Plans of this machine: shares of workloads, files, what the user holds.

use crate::common::command::{fails, model, optimized, snapprune};
use crate::common::recorded::{plan_of_recorded, profile as recorded};
use serde_json::Value;

#[test]
fn several_batches_count_by_their_shares() {
    let folder = tempfile::tempdir().unwrap();
    let (_, report) = optimized(folder.path(), &["--batch", "1:3,2:1", "--time-budget", "20s"]);
    let workloads = report["workloads"].as_array().unwrap();
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
    assert!(report["hint"].as_str().unwrap().contains("--time-budget"), "{report:#}");
    assert!(report["probes"]["skipped"].as_u64() > Some(0));
    let wrong = fails(&["models/shapes96.onnx", "--cpu", "--time-budget", "5 weeks"], 2);
    assert!(wrong.contains("60s"), "{wrong}");
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
    // A report, which holds the plan among other things, gives the same model.
    let first = std::fs::read(at("out.onnx")).unwrap();
    let (code, said) = apply(
        &serde_json::json!({"schema_version": 1, "plan": plan}),
        &["--threads", "1"],
    );
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(std::fs::read(at("out.onnx")).unwrap(), first);
    let (code, said) = apply(&serde_json::json!({"plan": null}), &[]);
    assert!(code == Some(2) && said.contains("not a plan"), "{said}");
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
    let told = snapprune().arg("explain").arg(at("out.onnx")).output().unwrap();
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        told.contains("by plan   edited.json") && told.contains(" -> "),
        "{told}"
    );

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
