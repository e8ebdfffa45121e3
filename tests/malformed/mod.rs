//! Models that are wrong in some way: each is refused with a message that names what is wrong, or handled, whatever the bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod beside;
mod graphs;
mod tensors;

use snapprune::onnx::Attributes;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::net::Net;
use crate::common::runtime;
use snapprune::onnx::encode;
use snapprune::onnx::proto::{GraphProto, ModelProto, NodeProto, TensorProto};

/// Two convolutions and a classifier; nodes: 0 Conv, 1 Relu, 2 Conv, 3 GlobalAveragePool, 4 Flatten, 5 Gemm.
fn base() -> ModelProto {
    let mut net = Net::new(17, 3);
    let x = net.input("image", &[1, 3, 8, 8]);
    let y = net.conv(&x, 3, 8, 3, 1);
    let y = net.node("Relu", &[&y], |_| {});
    let y = net.conv(&y, 8, 6, 3, 1);
    let y = net.node("GlobalAveragePool", &[&y], |_| {});
    let y = net.node("Flatten", &[&y], |_| {});
    let w = net.weights(&[5, 6]);
    let y = net.node("Gemm", &[&y, &w], |n| n.set_int("transB", 1));
    net.output(&y);
    let mut model = net.model();
    for (k, node) in model.graph.as_mut().unwrap().node.iter_mut().enumerate() {
        node.name = Some(format!("node{k}"));
    }
    model
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

fn node(model: &mut ModelProto, k: usize) -> &mut NodeProto {
    &mut graph(model).node[k]
}

fn weight(model: &mut ModelProto) -> &mut TensorProto {
    let name = node(model, 0).input[1].clone();
    graph(model).initializer.iter_mut().find(|t| t.name() == name).unwrap()
}

/// What is wrong, how to make it so, and what is said.
type Case = (&'static str, fn(&mut ModelProto), &'static str);

fn cases() -> Vec<Case> {
    [tensors::CASES, graphs::CASES, beside::CASES].concat()
}

/// Inspects a file in little memory and at most ten seconds of a core; the exit status (none when it ran out of them), and what was
/// said.
fn inspected(file: &Path) -> (Option<i32>, String) {
    let line = "ulimit -v 3000000; ulimit -t 10; exec \"$0\" inspect \"$1\"";
    let output = Command::new("bash")
        .args(["-c", line, env!("CARGO_BIN_EXE_snapprune")])
        .arg(file)
        .env("ORT_DYLIB_PATH", std::fs::canonicalize(&runtime().library).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// Inspects many files on all cores.
fn all(files: &[(String, Vec<u8>)], check: &(dyn Fn(&str, Option<i32>, &str) + Sync)) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let folder = tempfile::tempdir().unwrap();
                while let Some((name, bytes)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let file = folder.path().join("model.onnx");
                    std::fs::write(&file, bytes).unwrap();
                    let (code, said) = inspected(&file);
                    assert!(
                        matches!(code, Some(0 | 2)) && !said.contains("panicked"),
                        "{name}: {code:?} {said}"
                    );
                    check(name, code, &said);
                }
            });
        }
    });
}

#[test]
fn each_fault_is_told_by_name() {
    let cases = cases();
    let files: Vec<(String, Vec<u8>)> = cases
        .iter()
        .map(|(name, wrong, _)| {
            let mut model = base();
            wrong(&mut model);
            ((*name).to_owned(), encode(&model))
        })
        .collect();
    all(&files, &|name, code, said| {
        let (_, _, why) = cases.iter().find(|c| c.0 == name).unwrap();
        assert_eq!(code, Some(2), "{name}: {said}");
        assert!(said.contains('→'), "{name}: {said}");
        // Where ONNX Runtime is the judge, its words may change.
        assert!(*why == "malformed" || said.contains(why), "{name}: {said}");
    });
    let sound = vec![("a sound model".to_owned(), encode(&base()))];
    all(&sound, &|name, code, said| assert_eq!(code, Some(0), "{name}: {said}"));
}

#[test]
fn cut_and_changed_files_are_refused_or_handled() {
    let bytes = encode(&base());
    let mut random = fastrand::Rng::with_seed(41);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for k in 0..40 {
        files.push((format!("cut {k}"), bytes[..bytes.len() * k / 40].to_vec()));
    }
    for k in 0..110 {
        let mut changed = bytes.clone();
        for _ in 0..1 + k % 5 {
            // Most of a model is weights; half of the changes go to the rest, which comes first.
            let at = if k % 2 == 0 {
                random.usize(..changed.len())
            } else {
                random.usize(..400.min(changed.len()))
            };
            changed[at] = random.u8(..);
        }
        files.push((format!("changed {k}"), changed));
    }
    for k in 0..20 {
        let length = random.usize(1..2000);
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
        files.push((format!("noise {k}"), noise));
        files.push((
            format!("doubled {k}"),
            [&bytes[..random.usize(..bytes.len())], &bytes[..]].concat(),
        ));
    }
    assert!(files.len() + cases().len() >= 250);
    all(&files, &|_, _, _| {});
}
