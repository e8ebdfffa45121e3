//! Zoos: many models, interrupted at any moment, with models that fail in every way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod divided;
mod interrupted;
mod metric;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::command::model;
use serde_json::Value;

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
