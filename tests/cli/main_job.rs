//! The main job and what it writes.

use protobuf::Message;
use std::path::Path;

use crate::common::command::{model, optimized, snapprune};
use crate::common::priced::priced;
use crate::common::recorded::profile;
use crate::common::{runtime, shared};
use serde_json::Value;
use snapprune::optimize::Options;

#[test]
fn the_main_job_writes_a_model_that_keeps_its_promises() {
    let folder = tempfile::tempdir().unwrap();
    let input = std::fs::read(model("shapes96_misaligned.onnx")).unwrap();
    let (report, written) = priced(&folder.path().join("latency.db"), Options::default());
    assert_eq!(report["written"], true, "{report:#}");
    assert_eq!(input, std::fs::read(model("shapes96_misaligned.onnx")).unwrap());
    assert_eq!(report["schema_version"], 2);
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
            .any(|g| g["action"] == "constrained" && g["reason"].as_str().unwrap().contains("graph input"))
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
