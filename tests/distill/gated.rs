//! Gradients through the reference form of gates, and the weights behind gates that a job writes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::rules::{follows_for, numbers};
use super::teaching::classifier;
use crate::common::command::job_on_a_core;
use crate::common::{Case, cpu};
use serde_json::Value;
use snapprune::device::Executor;
use snapprune::gate::{ChannelGate, Gate, GateForm, TileGate, blocks, gated, tilings};
use snapprune::onnx::{Graph, Tensor, encode};

/// Every weight of the model has its gradient, those in front of what a gate is chosen by, too: the choice itself is flat.
#[test]
fn weights_are_trained_through_gates() {
    let case = Case::new(&classifier()).unwrap();
    let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
    let (found, refused) = blocks(&graph, &case.analysis);
    assert_eq!((found.len(), refused.len()), (1, 0));
    let block = &found[0];
    let mut random = fastrand::Rng::with_seed(3);
    let mut some = |count: usize| -> Vec<f32> { (0..count).map(|_| random.f32() - 0.4).collect() };
    let tiling = tilings(block, 6).remove(0);
    let tiles = TileGate {
        keep: tiling.tiles() / 2,
        attention: some(16),
        fill: some(16),
        tiling,
    };
    let channels = ChannelGate {
        producer: 0,
        keep: 10,
        attention: some(24 * 16),
        bias: some(24),
        fill: some(24),
    };
    let inputs = vec![("x".to_owned(), Tensor::from_f32(vec![2, 4, 12, 12], &some(2 * 576)))];
    for (tiles, channels) in [(Some(tiles), vec![]), (None, vec![channels])] {
        let gate = Gate {
            block: block.clone(),
            tiles,
            channels,
        };
        let model = gated(&case.proto, &graph, &[&gate], GateForm::Masked).unwrap();
        let y = model.graph.as_ref().unwrap().output[0].name().to_owned();
        let made = cpu().outputs_plain(&encode(&model), &inputs).unwrap().remove(0).1;
        let taught = vec![(y.clone(), Tensor::from_f32(made.dims.clone(), &some(made.len())))];
        follows_for(gate.kind(), &model, &inputs, &taught, &[numbers(&y)], 8);
    }
}

/// Weights behind gates make up for what these leave out: by least squares, then by gradient steps, judged on samples that neither saw.
#[test]
fn weights_behind_gates_lose_less() {
    let folder = tempfile::tempdir().unwrap();
    let (file, samples) = crate::common::small::small(folder.path());
    let out = folder.path().join("out.onnx");
    let output = job_on_a_core(&file, &out)
        .args(["--distill", "8"])
        .args(["--dynamic", "channels", "--dynamic-keep", "0.5", "--dynamic-all"])
        .arg("--calib")
        .arg(&samples)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text} {output:?}"));
    let dynamic = &report["dynamic"];
    let number = |v: &Value| v.as_f64().unwrap_or_else(|| panic!("{dynamic}"));
    let [own, fitted] = [0, 1].map(|k| number(&dynamic["fitted"][k]));
    assert!(fitted < 0.1 * own, "{dynamic}");
    let trained = &dynamic["distillation"];
    assert_eq!(trained["steps"], 8, "{dynamic}");
    assert_eq!((&trained["tensors"], &trained["out_of_reach"]), (&8.into(), &0.into()));
    let [before, after] = ["loss_before", "loss_after"].map(|k| number(&trained[k]));
    assert!((before - fitted).abs() < 1e-6, "{dynamic}");
    let views = [0, 1].map(|k| trained["loss_on_views"][k].as_f64());
    let [before, after] = match views {
        [Some(before_them), Some(after_them)] => [before + before_them, after + after_them],
        _ => [before, after],
    };
    assert!(after <= before, "{dynamic}");
    assert_eq!(trained["taken"], after < before, "{dynamic}");
    assert!(number(&dynamic["reference"]["max_rel_diff"]) < 1e-3);
    // Both files stand side by side, and only the dynamic one has other weights.
    let written = folder.path().join("out.dynamic.onnx");
    assert!(written.is_file(), "{report}");
}
