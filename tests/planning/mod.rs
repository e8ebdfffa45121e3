//! Planning from databases and profiles, for several workloads, and for GPUs that are not here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accuracy;
mod elsewhere;
mod plans;

use std::path::Path;

use crate::common::command::{model, snapprune};

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
