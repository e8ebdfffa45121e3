//! The command as a user runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::Path;

use common::command::{fails, model, optimized, snapprune};
use common::priced::priced;
use common::recorded::profile;
use common::{runtime, shared};
use protobuf::Message;
use serde_json::Value;
use snapprune::optimize::Options;

#[test]
fn the_main_job_writes_a_model_that_keeps_its_promises() {
    let folder = tempfile::tempdir().unwrap();
    let input = std::fs::read(model("shapes96_misaligned.onnx")).unwrap();
    let (report, written) = priced(&folder.path().join("latency.db"), Options::default());
    assert_eq!(report["written"], true, "{report:#}");
    assert_eq!(input, std::fs::read(model("shapes96_misaligned.onnx")).unwrap());
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["device"]["kind"], "cpu");
    assert_eq!(report["model"]["blake3"], blake3::hash(&input).to_hex().to_string());
    assert!(report["ratio_static"].as_f64().unwrap() < 1.0);
    assert!(report["predicted_ratio_static"].as_f64().unwrap() < 1.0);
    assert!(report["macs"]["after"].as_u64() > report["macs"]["before"].as_u64());
    assert!(report["verify"]["max_rel_diff"].as_f64().unwrap() < 1e-3);
    assert!(report["verify"]["inputs_tried"].as_u64().unwrap() >= 1);
    assert!(report["latency_ms"]["original"]["n"].as_u64().unwrap() >= 15);
    let groups = report["groups"].as_array().unwrap();
    assert!(
        groups
            .iter()
            .any(|g| g["action"] == "grow" && g["width_after"].as_u64() > g["width_before"].as_u64())
    );
    assert!(
        groups
            .iter()
            .any(|g| g["action"] == "barrier" && g["reason"].as_str().unwrap().contains("graph input"))
    );
    independent_reader(&input, &written.unwrap(), groups);

    // A second run probes nothing.
    let (again, _) = priced(&folder.path().join("latency.db"), Options::default());
    assert_eq!(again["probes"]["made"], 0, "{:#}", again["probes"]);
    assert!(again["probes"]["reused"].as_u64() > Some(0));
}

#[test]
fn a_written_model_tells_what_was_done_and_has_its_reports_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let done = snapprune()
        .arg(model("shapes96_misaligned.onnx"))
        .arg("--profile")
        .arg(profile(folder.path()))
        .args(["--json", "-o"])
        .arg(at("out.onnx"))
        .arg("--db")
        .arg(at("l.db"))
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let beside: Value = serde_json::from_slice(&std::fs::read(at("out.json")).unwrap()).unwrap();
    assert_eq!(beside, report);
    assert!(at("out.html").is_file());
    let written = std::fs::read(at("out.onnx")).unwrap();
    let input = std::fs::read(model("shapes96_misaligned.onnx")).unwrap();
    independent_reader(&input, &written, report["groups"].as_array().unwrap());
    let read = onnx_protobuf::ModelProto::parse_from_bytes(&written).unwrap();
    let notes: Vec<_> = read.metadata_props.iter().map(|p| p.key.as_str()).collect();
    assert!(
        notes.contains(&"snapprune.source.blake3") && notes.contains(&"snapprune.moves"),
        "{notes:?}"
    );
}

#[test]
fn status_report_and_file_of_a_job_on_this_machine_agree_and_nothing_is_timed_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (code, report) = optimized(folder.path(), &[]);
    let written = report["written"] == true;
    assert_eq!(code, Some(i32::from(!written)), "{report:#}");
    assert_eq!(folder.path().join("out.onnx").exists(), written, "{report:#}");
    assert_eq!(report["declined"].is_null(), written, "{report:#}");
    assert_eq!(report["device"]["kind"], "cpu");
    assert!(report["probes"]["made"].as_u64() > Some(0));
    let (_, again) = optimized(folder.path(), &[]);
    assert_eq!(again["probes"]["made"], 0, "{:#}", again["probes"]);
}

/// Reads both files with another implementation of the format.
fn independent_reader(before: &[u8], after: &[u8], groups: &[Value]) {
    let before = onnx_protobuf::ModelProto::parse_from_bytes(before).unwrap();
    let after = onnx_protobuf::ModelProto::parse_from_bytes(after).unwrap();
    assert_eq!(before.ir_version, after.ir_version);
    assert_eq!(before.opset_import, after.opset_import);
    assert_eq!(before.producer_name, after.producer_name);
    assert_eq!(before.graph.input, after.graph.input);
    assert_eq!(before.graph.output, after.graph.output);
    let names = |m: &onnx_protobuf::ModelProto| {
        m.graph
            .node
            .iter()
            .map(|n| (n.name.clone(), n.op_type.clone(), n.output.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&before), names(&after));
    let dims = |m: &onnx_protobuf::ModelProto, name: &str| {
        m.graph
            .initializer
            .iter()
            .find(|t| t.name == name)
            .map(|t| t.dims.clone())
    };
    let mut widened = 0;
    for node in before.graph.node.iter().filter(|n| n.op_type == "Conv") {
        let width = dims(&before, &node.input[1]).unwrap()[0];
        let mut rows = groups
            .iter()
            .filter(|g| g["layers"].as_array().unwrap().iter().any(|l| l == node.name.as_str()));
        let row = rows.find(|g| g["width_before"] == width);
        let row = row.unwrap_or_else(|| panic!("{} is in no group", node.name));
        let other = after.graph.node.iter().find(|n| n.name == node.name).unwrap();
        let (a, b) = (
            dims(&before, &node.input[1]).unwrap(),
            dims(&after, &other.input[1]).unwrap(),
        );
        assert_eq!(a[0], row["width_before"].as_i64().unwrap(), "{}", node.name);
        assert_eq!(b[0], row["width_after"].as_i64().unwrap(), "{}", node.name);
        widened += i32::from(b[0] > a[0]);
    }
    assert!(widened > 0);
}

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
fn inspect_says_what_is_free_and_why_the_rest_is_not() {
    let path = model("shapes96.onnx");
    let output = snapprune().arg("inspect").arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("graph output") && text.contains("free to change"),
        "{text}"
    );
    let output = snapprune().arg("inspect").arg(&path).arg("--json").output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["macs_free_share"].as_f64().unwrap() > 0.95);
    assert_eq!(report["params"], 662_154);
    assert!(
        report["barriers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|b| !b["reason"].as_str().unwrap().is_empty())
    );
    assert!(
        report["groups"]
            .as_array()
            .unwrap()
            .iter()
            .all(|g| g["width"].as_u64() > Some(0))
    );
    let dot = snapprune().arg("inspect").arg(&path).arg("--dot").output().unwrap();
    let dot = String::from_utf8_lossy(&dot.stdout);
    assert!(
        dot.starts_with("digraph") && dot.contains("->") && dot.trim_end().ends_with('}'),
        "{dot}"
    );
}

#[test]
fn bench_shows_models_side_by_side() {
    let (a, b) = (model("shapes96.onnx"), model("shapes96_misaligned.onnx"));
    let output = snapprune()
        .arg("bench")
        .args([&a, &b])
        .args(["--cpu", "--threads", "1", "--seconds", "0.2", "--json"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["models"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["ratio"], 1.0);
    assert!(
        rows.iter()
            .all(|r| r["min"].as_f64() <= r["median"].as_f64() && r["n"].as_u64() >= Some(15))
    );
}

#[test]
fn wrong_use_ends_in_what_to_do() {
    let path = model("shapes96.onnx");
    let path = path.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.onnx");
    std::fs::write(&text, "this is not a model\n").unwrap();
    assert!(fails(&["/nowhere/model.onnx"], 2).contains("/nowhere/model.onnx"));
    assert!(fails(&[text.to_str().unwrap(), "--cpu"], 2).contains("not an ONNX model"));
    assert!(fails(&[path, "-o", path], 2).contains("overwrite"));
    assert!(fails(&[path, "--cpu", "--dim", "M=4"], 2).contains("the symbolic extents are: N"));
    assert!(fails(&[path, "--cpu", "--shape", "picture:1,3,96,96"], 2).contains("the inputs are image"));
    assert!(fails(&[path, "--cpu", "--shape", "image:1,4,96,96"], 2).contains("fixed at 3"));
    assert!(fails(&[path, "--cpu", "--batch", "0"], 2).contains("at least 1"));
    assert!(fails(&[path, "--cpu", "--ort-lib", "/nowhere/libonnxruntime.so"], 2).contains("--ort-lib"));
    assert!(fails(&[path, "--cpu", "-o", "/nowhere/out.onnx"], 2).contains("-o"));
    assert!(fails(&[], 2).contains("MODEL"));
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_that_says_what_to_install() {
    if Path::new("/proc/driver/nvidia").exists() {
        eprintln!("skipped: this machine has an NVIDIA driver");
        return;
    }
    let path = model("shapes96.onnx");
    let said = fails(&[path.to_str().unwrap(), "--gpu", "0"], 2);
    assert!(said.contains("NVIDIA") && said.contains("--cpu"), "{said}");
}

#[test]
fn an_aligned_model_is_left_alone() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.onnx");
    let run = snapprune()
        .arg(shared.join("models/trained/resnet20_cifar10.onnx"))
        .args(["--cpu", "--threads", "1", "-o"])
        .arg(&out)
        .arg("--db")
        .arg(folder.path().join("l.db"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert_eq!(run.status.code(), Some(1), "{text}");
    assert!(text.contains("nothing written") && !out.exists(), "{text}");
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

#[test]
fn verify_compares_two_models_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output = snapprune()
            .arg("verify")
            .args(args)
            .args(["--cpu", "--threads", "1"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said)
    };
    let own = model("shapes96.onnx");
    let own = own.to_str().unwrap();
    let (code, said) = run(&[own, own]);
    assert!(code == Some(0) && said.contains("same"), "{said}");
    // One weight is another.
    let mut changed = snapprune::onnx::load(&model("shapes96.onnx")).unwrap().proto;
    let weight = changed
        .graph
        .as_mut()
        .unwrap()
        .initializer
        .iter_mut()
        .find(|t| t.dims.len() == 4)
        .unwrap();
    common::with_bytes(weight, |raw| raw[..4].copy_from_slice(&9.0f32.to_le_bytes()));
    let other = folder.path().join("other.onnx");
    std::fs::write(&other, snapprune::onnx::encode(&changed)).unwrap();
    let other = other.to_str().unwrap();
    let (code, said) = run(&[own, other, "--json"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, report["same"].as_bool()), (Some(1), Some(false)));
    assert!(report["outputs"][0]["different"].as_u64().unwrap() > 0, "{report}");
    // Real inputs, and a tolerance that lets it pass.
    let eval = model("shapes96_eval.npz");
    let eval = eval.to_str().unwrap();
    assert_eq!(run(&[own, other, "--eval", eval]).0, Some(1));
    let (code, said) = run(&[own, other, "--eval", eval, "--rtol", "0", "--atol", "1e9"]);
    assert!(code == Some(0), "{said}");
    let (code, said) = run(&[own, model("scenes96.onnx").to_str().unwrap()]);
    assert!(code == Some(2) || code == Some(1), "{said}");
    assert_eq!(run(&[own, own, "--tries", "0"]).0, Some(2));
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries
        .flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] })
        .collect()
}

#[cfg(unix)]
#[test]
fn whatever_is_written_follows_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    for (umask, mode) in [("077", 0o600), ("002", 0o664)] {
        let outer = tempfile::tempdir().unwrap();
        let profile = profile(outer.path());
        let folder = outer.path().join("written");
        let script = "set -e; umask $0; mkdir -p \"$1/models\"; cp \"$2\" \"$1/models/m.onnx\"; cd \"$1\"
            snapprune plan models/m.onnx --profile \"$3\" --db l.db -o plan.json
            snapprune apply models/m.onnx plan.json -o beside.onnx --save-as-external-data
            snapprune models/m.onnx --profile \"$3\" --db l.db -o whole.onnx
            snapprune zoo models --out zoo --profile \"$3\" --db l.db --jobs 1
            snapprune db export times.jsonl --db l.db
            snapprune man pages";
        let binaries = Path::new(env!("CARGO_BIN_EXE_snapprune")).parent().unwrap();
        let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
        let done = std::process::Command::new("bash")
            .args(["-c", script, umask])
            .arg(&folder)
            .arg(model("shapes96_misaligned.onnx"))
            .arg(profile)
            .env("PATH", path)
            .env("ORT_DYLIB_PATH", std::fs::canonicalize(&runtime().library).unwrap())
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        let all = files(&folder);
        for part in [
            "plan.json",
            ".data",
            "whole.html",
            "zoo.csv",
            "m.json",
            "times.jsonl",
            "l.db",
            ".1",
        ] {
            assert!(
                all.iter().any(|f| f.to_string_lossy().ends_with(part)),
                "{part}: {all:?}"
            );
        }
        for file in all.iter().filter(|f| !f.ends_with("models/m.onnx")) {
            let found = std::fs::metadata(file).unwrap().permissions().mode() & 0o7777;
            assert_eq!(found, mode, "{} under {umask}", file.display());
        }
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_command_quietly() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_snapprune"))
        .arg("inspect")
        .arg(model("scenes96.onnx"))
        .env("ORT_DYLIB_PATH", &common::runtime().library)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
}
