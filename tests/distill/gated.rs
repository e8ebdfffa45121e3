//! Gradients through the reference form of gates.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::rules::{follows_for, numbers};
use super::teaching::classifier;
use crate::common::{Case, cpu};
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
