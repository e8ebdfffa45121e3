//! Gates against their reference forms and against the original, on real graphs and with every kind of gate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::Path;

use common::{Case, cpu, difference, zoo_model};
use snapprune::device::{Executor, NamedTensor};
use snapprune::gate::{
    Block, BranchStep, ChannelGate, Gate, GateForm, TileGate, Tiling, blocks, fusible, gated, pairs, tilings,
};
use snapprune::onnx::{Graph, Tensor, encode};

fn own(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

/// A gate's random attention and fill; the layers say how many channels there are.
struct Dice(fastrand::Rng);

impl Dice {
    fn some(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.0.f32() - 0.4).collect()
    }

    fn tiles(&mut self, block: &Block, tiling: &Tiling, keep: usize) -> TileGate {
        TileGate {
            tiling: tiling.clone(),
            keep,
            attention: self.some(block.input_dims[0]),
            fill: self.some(block.output_dims[0]),
        }
    }

    fn channels(&mut self, block: &Block, producer: usize, share: f64) -> ChannelGate {
        let BranchStep::Conv(layer) = &block.steps[producer] else {
            panic!("no convolution makes the channels");
        };
        ChannelGate {
            producer,
            keep: ((layer.outputs as f64 * share) as usize).max(1),
            attention: self.some(layer.outputs * layer.inputs),
            bias: self.some(layer.outputs),
            fill: self.some(layer.outputs),
        }
    }
}

/// Random inputs of `samples` samples.
fn inputs(case: &Case, samples: usize, seed: u64) -> Vec<NamedTensor> {
    let mut random = fastrand::Rng::with_seed(seed);
    let one = |spec: &snapprune::device::InputSpec| {
        let mut dims = spec.dims.clone();
        dims[0] = samples;
        let values: Vec<f32> = (0..dims.iter().product()).map(|_| random.f32() * 2.0 - 1.0).collect();
        (spec.name.clone(), Tensor::from_f32(dims, &values))
    };
    case.specs.iter().map(one).collect()
}

/// Runs gates in both forms; the largest difference of any output over its range.
fn apart(case: &Case, gates: &[&Gate], samples: usize) -> f64 {
    apart_in(GateForm::Compact, case, gates, samples)
}

fn apart_in(form: GateForm, case: &Case, gates: &[&Gate], samples: usize) -> f64 {
    let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
    let device = cpu();
    let given = inputs(case, samples, 7);
    let run = |form| {
        let model = gated(&case.proto, &graph, gates, form).unwrap();
        device.outputs(&encode(&model), &given).unwrap()
    };
    let masked = run(GateForm::Masked);
    difference(&masked, &run(form), &masked).raw
}

fn unlike(case: &Case, gates: &[&Gate], samples: usize) -> f64 {
    let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
    let given = inputs(case, samples, 7);
    let device = cpu();
    let before = device.outputs(&encode(&case.proto), &given).unwrap();
    let model = gated(&case.proto, &graph, gates, GateForm::Compact).unwrap();
    let after = device.outputs(&encode(&model), &given).unwrap();
    difference(&before, &after, &before).raw
}

fn cases() -> Vec<(String, Case)> {
    let zoo = [
        "resnet18",
        "resnet20_cifar10",
        "resnet20_cifar10_bn",
        "mobilenet_v2",
        "regnet_x_400mf",
        "yolox_nano",
        "detector_c2f",
    ];
    let found = zoo
        .iter()
        .filter_map(|s| Some(((*s).to_owned(), Case::open(&zoo_model(s)?))));
    let ours = ["scenes96.onnx", "shapes96.onnx"].map(|n| (n.to_owned(), Case::open(&own(n))));
    found.chain(ours).collect()
}

#[test]
fn gated_tiles_make_what_their_reference_form_makes() {
    let mut dice = Dice(fastrand::Rng::with_seed(1));
    for (name, case) in cases() {
        let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
        let (found, refused) = blocks(&graph, &case.analysis);
        assert!(!found.is_empty(), "{name} has no block: {refused:?}");
        let samples = if case.specs[0].open.contains(&0) {
            3
        } else {
            case.specs[0].dims[0]
        };
        let mut gates = Vec::new();
        for (at, block) in found.iter().enumerate() {
            let all = tilings(block, 6);
            if let Some(tiling) = all.get(at % all.len().max(1)) {
                let keep = tiling.tiles().div_ceil(2 + at % 3);
                gates.push(Gate {
                    block: block.clone(),
                    tiles: Some(dice.tiles(block, tiling, keep)),
                    channels: None,
                });
            }
        }
        assert!(!gates.is_empty(), "{name} has no tiles");
        let list: Vec<&Gate> = gates.iter().collect();
        let found = apart(&case, &list, samples);
        assert!(found < 1e-4, "{name}: {found} apart from the reference form");
        // With every tile kept the fill plays no part, and the outputs are the original's.
        for gate in &mut gates {
            let tiles = gate.tiles.as_mut().unwrap();
            tiles.keep = tiles.tiling.tiles();
        }
        let list: Vec<&Gate> = gates.iter().collect();
        let found = unlike(&case, &list, samples);
        assert!(found < 1e-4, "{name}: {found} from the original with all tiles kept");
    }
}

#[test]
fn every_tiling_of_a_strided_block_with_halos_is_right() {
    let mut dice = Dice(fastrand::Rng::with_seed(2));
    let case = Case::open(&own("scenes96.onnx"));
    let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
    let (found, _) = blocks(&graph, &case.analysis);
    for block in &found {
        for tiling in tilings(block, 12) {
            let keep = (tiling.tiles() / 2).max(1);
            let gate = Gate {
                block: block.clone(),
                tiles: Some(dice.tiles(block, &tiling, keep)),
                channels: None,
            };
            let found = apart(&case, &[&gate], 2);
            assert!(found < 1e-4, "{} {:?}: {found}", block.name, tiling.tile);
            assert!(gate.macs() < block.macs() * 2, "{:?}", tiling.tile);
            assert!(fusible(&graph, block));
            let found = apart_in(GateForm::Fused, &case, &[&gate], 2);
            assert!(found < 1e-4, "{} {:?} fused: {found}", block.name, tiling.tile);
        }
    }
}

#[test]
fn gated_channels_alone_and_with_tiles_make_what_their_reference_form_makes() {
    let mut dice = Dice(fastrand::Rng::with_seed(3));
    for (name, case) in cases() {
        let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
        let (found, _) = blocks(&graph, &case.analysis);
        let mut gates = Vec::new();
        for (at, block) in found.iter().enumerate() {
            let producers = pairs(block);
            let Some(&producer) = producers.get(at % producers.len().max(1)) else {
                continue;
            };
            let tiling = tilings(block, 4)
                .into_iter()
                .next()
                .filter(|_| at % 2 == 0 && producer == 0);
            let tiles = tiling.map(|t| dice.tiles(block, &t, t.tiles() / 2));
            gates.push(Gate {
                block: block.clone(),
                tiles,
                channels: Some(dice.channels(block, producer, 0.5)),
            });
        }
        if gates.is_empty() {
            // Grouped layers stand between.
            assert!(
                ["mobilenet_v2", "regnet_x_400mf", "yolox_nano"].contains(&name.as_str()),
                "{name} has no pair"
            );
            continue;
        }
        let found = apart(&case, &gates.iter().collect::<Vec<_>>(), 1);
        assert!(found < 1e-4, "{name}: {found} apart from the reference form");
        for gate in &mut gates {
            gate.tiles = None;
            let channels = gate.channels.as_mut().unwrap();
            channels.keep = channels.fill.len();
        }
        let found = unlike(&case, &gates.iter().collect::<Vec<_>>(), 1);
        assert!(found < 1e-4, "{name}: {found} from the original with all channels kept");
    }
}
