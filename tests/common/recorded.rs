//! A recorded profile of a device that is nowhere: with it nothing is timed, and the same comes out every time.

use std::path::{Path, PathBuf};

use snapprune::device::{DeviceInfo, DeviceKind, ShapeOptions};
use snapprune::optimize::open;
use snapprune::profile::{Profile, Record, RecordFacts, layers};

use super::command::{model, snapprune};
use super::runtime;

/// Plans the misaligned model for the recorded device, in a folder of its own for what that needs.
pub fn plan_of_recorded(folder: &Path, plan: &Path) {
    let profile = profile(folder);
    let mut command = snapprune();
    command
        .arg("plan")
        .arg(model("shapes96_misaligned.onnx"))
        .arg("-o")
        .arg(plan);
    command
        .arg("--profile")
        .arg(profile)
        .arg("--db")
        .arg(folder.join("planned.db"));
    let done = command.output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// A recorded profile of the misaligned model, on a device with latency steps of 16 channels.
pub fn profile(folder: &Path) -> PathBuf {
    let opened = open(&model("shapes96_misaligned.onnx"), &runtime(), &ShapeOptions::default()).unwrap();
    let graph = opened.graph().unwrap();
    let mut records: Vec<Record> = Vec::new();
    let around = |w: usize| (w..w + 32).filter(move |&v| v == w || v.is_multiple_of(4));
    for layer in layers(&graph, &opened.analysis) {
        let depthwise = layer.problem.is_depthwise();
        for cin in around(layer.problem.cin) {
            for cout in around(layer.problem.cout).filter(|&cout| !depthwise || cin == cout) {
                let off = if cin % 16 == 0 && cout % 16 == 0 { 1.0 } else { 2.0 };
                records.push(Record {
                    problem: layer.at(cin, cout),
                    samples: vec![off * (cin.div_ceil(16) * cout.div_ceil(16)) as f64; 5],
                    facts: RecordFacts::default(),
                });
            }
        }
    }
    let device = DeviceInfo {
        kind: DeviceKind::Cuda,
        name: "A GPU elsewhere".to_owned(),
        fingerprint: "0123456789abcdef".to_owned(),
        stack: "made up".to_owned(),
        ..DeviceInfo::default()
    };
    let profile = Profile {
        schema_version: 1,
        device,
        records,
    };
    let file = folder.join("profile.json");
    std::fs::write(&file, profile.text()).unwrap();
    file
}
