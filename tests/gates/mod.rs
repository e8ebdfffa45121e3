//! Gates against their reference forms and against the original, on real graphs and with every kind of gate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod excited;
mod fixed;

use crate::common;

use std::path::Path;

use common::net::Net;
use common::{Case, cpu, difference, zoo_model};
use snapprune::device::{Executor, NamedTensor};
use snapprune::gate::{
    Block, BranchStep, ChannelGate, Gate, GateForm, TileGate, Tiling, blocks, fold_factors, fusible, gated, pairs,
    tilings,
};
use snapprune::onnx::Attributes;
use snapprune::onnx::proto::ModelProto;
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
            fill: match block.other {
                Some(_) => self.some(block.output_dims[0]),
                None => self.some(block.output_dims.iter().product()),
            },
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
                    channels: Vec::new(),
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
                channels: Vec::new(),
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
            let mut producers = pairs(block);
            if producers.is_empty() {
                continue;
            }
            // All of a block's at once, or one with tiles.
            if at % 2 == 0 {
                producers.truncate(1);
            }
            let tiling = tilings(block, 4)
                .into_iter()
                .next()
                .filter(|_| at % 2 == 0 && producers == [0]);
            let tiles = tiling.map(|t| dice.tiles(block, &t, t.tiles() / 2));
            let channels = producers.iter().map(|&p| dice.channels(block, p, 0.5));
            gates.push(Gate {
                block: block.clone(),
                tiles,
                channels: channels.collect(),
            });
        }
        if gates.is_empty() {
            // Grouped layers stand between.
            assert_eq!(name, "regnet_x_400mf", "it has no pair");
            continue;
        }
        let found = apart(&case, &gates.iter().collect::<Vec<_>>(), 1);
        assert!(found < 1e-4, "{name}: {found} apart from the reference form");
        for gate in &mut gates {
            gate.tiles = None;
            for channels in &mut gate.channels {
                channels.keep = channels.fill.len();
            }
        }
        let found = unlike(&case, &gates.iter().collect::<Vec<_>>(), 1);
        assert!(found < 1e-4, "{name}: {found} from the original with all channels kept");
    }
}

/// A normalization by stored statistics.
fn normalized(net: &mut Net, x: &str, channels: usize) -> String {
    let rows = [(0.5, 1.5), (-0.3, 0.3), (-0.2, 0.2), (0.5, 2.0)];
    let parameters = rows.map(|(low, high)| net.floats(&[channels], low, high));
    let mut inputs = vec![x];
    inputs.extend(parameters.iter().map(String::as_str));
    net.node("BatchNormalization", &inputs, |_| {})
}

/// Two stretches of convolutions, as in VGG, and an inverted bottleneck with a smaller map and no shortcut behind them.
fn chained(batch: usize) -> ModelProto {
    let mut net = Net::new(17, 9);
    let mut x = net.input("image", &[batch, 3, 16, 16]);
    let mut cin = 3;
    for stretch in [vec![8, 8], vec![12, 16, 12]] {
        for cout in stretch {
            x = net.conv(&x, cin, cout, 3, 1);
            x = normalized(&mut net, &x, cout);
            x = net.node("Relu", &[&x], |_| {});
            cin = cout;
        }
        x = net.node("MaxPool", &[&x], |n| {
            n.set_ints("kernel_shape", vec![2, 2]);
            n.set_ints("strides", vec![2, 2]);
        });
    }
    x = net.conv(&x, 12, 24, 1, 1);
    x = net.node("Relu", &[&x], |_| {});
    x = net.conv(&x, 24, 24, 3, 24);
    x = normalized(&mut net, &x, 24);
    x = net.node("HardSwish", &[&x], |_| {});
    x = net.conv(&x, 24, 10, 1, 1);
    let factor = net.floats(&[1, 10, 1, 1], 0.2, 0.4);
    x = net.node("Mul", &[&x, &factor], |_| {});
    x = net.node("GlobalAveragePool", &[&x], |_| {});
    net.output(&x);
    net.model()
}

#[test]
fn factors_go_into_the_weights_in_front_of_them() {
    let case = Case::new(&chained(2)).unwrap();
    let folded = fold_factors(case.proto.clone()).unwrap();
    let left = |op: &str| {
        let nodes = &folded.graph.as_ref().unwrap().node;
        nodes.iter().filter(|n| n.op_type() == op).count()
    };
    assert_eq!((left("BatchNormalization"), left("Mul"), left("Conv")), (0, 0, 8));
    let given = inputs(&case, 2, 7);
    let before = cpu().outputs(&encode(&case.proto), &given).unwrap();
    let after = cpu().outputs(&encode(&folded), &given).unwrap();
    assert!(difference(&before, &after, &before).raw < 1e-5);
}

#[test]
fn plain_chains_make_what_their_reference_form_makes() {
    let mut dice = Dice(fastrand::Rng::with_seed(5));
    for batch in [1, 2] {
        let case = Case::new(&fold_factors(chained(batch)).unwrap()).unwrap();
        let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
        let (found, refused) = blocks(&graph, &case.analysis);
        let steps: Vec<usize> = found.iter().map(|b| b.layers().len()).collect();
        assert_eq!((&steps[..], refused.len()), (&[2, 3, 3][..], 0));
        assert!(found.iter().all(|b| b.other.is_none()));
        let producers: Vec<usize> = found.iter().map(|b| pairs(b).len()).collect();
        // Of the bottleneck one: the depthwise convolution follows.
        assert_eq!(producers, [1, 2, 1]);
        for block in &found {
            for tiling in tilings(block, 6) {
                let gate = Gate {
                    block: block.clone(),
                    tiles: Some(dice.tiles(block, &tiling, tiling.tiles() / 2)),
                    channels: Vec::new(),
                };
                let far = apart(&case, &[&gate], batch);
                assert!(far < 1e-4, "{} {:?}: {far}", block.name, tiling.tile);
                // The fill is what is seen where nothing is computed.
                assert!(unlike(&case, &[&gate], batch) > 1e-3, "{}", block.name);
            }
        }
        if batch > 1 {
            continue;
        }
        let mut gates: Vec<Gate> = Vec::new();
        for block in &found {
            let channels = pairs(block).into_iter().map(|p| dice.channels(block, p, 0.4));
            let gate = Gate {
                block: block.clone(),
                tiles: None,
                channels: channels.collect(),
            };
            assert!((gate.macs() as f64) < 0.6 * block.macs() as f64, "{}", block.name);
            gates.push(gate);
        }
        let far = apart(&case, &gates.iter().collect::<Vec<_>>(), 1);
        assert!(far < 1e-4, "{far} apart from the reference form");
        // On the small maps, those that read chosen channels and make all are turned.
        let list: Vec<&Gate> = gates.iter().collect();
        let compact = gated(&case.proto, &graph, &list, GateForm::Compact).unwrap();
        let nodes = compact.graph.unwrap().node;
        assert_eq!(nodes.iter().filter(|n| n.op_type() == "ConvTranspose").count(), 2);
        for channels in gates.iter_mut().flat_map(|g| &mut g.channels) {
            channels.fill.fill(0.0);
        }
        assert!(gates.iter().all(Gate::fills_zero));
        let far = apart(&case, &gates.iter().collect::<Vec<_>>(), 1);
        assert!(far < 1e-4, "{far} apart from the reference form without fill");
        for channels in gates.iter_mut().flat_map(|g| &mut g.channels) {
            channels.keep = channels.fill.len();
        }
        let far = unlike(&case, &gates.iter().collect::<Vec<_>>(), 1);
        assert!(far < 1e-4, "{far} from the original with all channels kept");
    }
}
