//! Gates that take the same channels for every input: narrower layers, fitted as such.

use std::collections::BTreeSet;

use snapprune::channels::{ChannelChange, IndexRemaps};
use snapprune::data::Dataset;
use snapprune::device::{Executor, Limit};
use snapprune::gate::{BranchStep, Gate, GateForm, blocks, fold_factors, gated, pairs};
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Graph, encode};
use snapprune::reconstruct::{Change, FitSamples, Settings, reconstruct};
use snapprune::score::Watch;

use super::{Dice, apart, chained, inputs};
use crate::common::net::Net;
use crate::common::{Case, cpu, difference};

/// Gates without attention on every pair of a model, which take a share of the channels.
fn fixed(case: &Case, dice: &mut Dice, share: f64) -> Vec<Gate> {
    let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
    let (found, _) = blocks(&graph, &case.analysis);
    let gates = found.into_iter().map(|block| {
        let of = |producer| {
            let mut channels = dice.channels(&block, producer, share);
            channels.attention.fill(0.0);
            channels.fill.fill(0.0);
            channels
        };
        let channels = pairs(&block).into_iter().map(of).collect();
        Gate {
            block,
            tiles: None,
            channels,
        }
    });
    gates.collect()
}

#[test]
fn gates_without_attention_are_narrower_layers() {
    let mut dice = Dice(fastrand::Rng::with_seed(6));
    for batch in [1, 2] {
        let case = Case::new(&fold_factors(chained(batch)).unwrap()).unwrap();
        let mut gates = fixed(&case, &mut dice, 0.4);
        let list: Vec<&Gate> = gates.iter().collect();
        let far = apart(&case, &list, batch);
        assert!(far < 1e-4, "{far} apart from the reference form");
        let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
        let compact = gated(&case.proto, &graph, &list, GateForm::Compact).unwrap();
        let of = |op: &str| {
            let nodes = &compact.graph.as_ref().unwrap().node;
            nodes.iter().filter(|n| n.op_type() == op).count()
        };
        // Nothing is chosen at run time, and nothing turned so that it can be.
        let ops = ["TopK", "ConvTranspose", "Sub"].map(of);
        assert_eq!((ops, of("Conv")), ([0, 0, 0], 8));
        let before = gates[1].macs();
        gates[1].channels[0].attention[0] = 1.0;
        assert_eq!(gates[1].macs(), before + gates[1].channels[0].attention.len() as u64);
        assert!(gates[1].takes_one_sample() && !gates[0].takes_one_sample());
    }
}

/// A rewritten model with its layers fitted to what they make in the case's own, on random samples.
fn fitted(case: &Case, model: ModelProto, remaps: &IndexRemaps) -> ModelProto {
    let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
    let data = Dataset::random(&case.specs, 160, 3).unwrap();
    let parts = Change {
        model: &case.proto,
        graph: &graph,
        analysis: &case.analysis,
        remaps,
        branches: &BTreeSet::new(),
    };
    let on = FitSamples {
        data: &data,
        runs: 0..32,
        judge: 32..40,
    };
    let watch = Watch {
        limit: &Limit::default(),
        progress: &|_, _| {},
    };
    let found = reconstruct(&cpu(), parts, model, on, Settings::default(), watch).unwrap();
    assert!(found.of >= 4 && found.left == 0, "{} of {}", found.left, found.of);
    found.proto
}

/// Masks are put in where a block ends, so that a shortcut's convolution, which stood behind the branch, comes in front of it.
#[test]
fn layers_behind_masks_are_fitted_in_the_order_of_the_masked_model() {
    let mut net = Net::new(17, 4);
    let x = net.input("image", &[4, 3, 12, 12]);
    let x = net.conv(&x, 3, 12, 3, 1);
    let mut x = net.node("Relu", &[&x], |_| {});
    for shortcut in [false, true, false] {
        let hidden = net.conv(&x, 12, 12, 3, 1);
        let hidden = net.node("Relu", &[&hidden], |_| {});
        let branch = net.conv(&hidden, 12, 12, 3, 1);
        let other = if shortcut { net.conv(&x, 12, 12, 1, 1) } else { x };
        let sum = net.node("Add", &[&branch, &other], |_| {});
        x = net.node("Relu", &[&sum], |_| {});
    }
    let x = net.node("GlobalAveragePool", &[&x], |_| {});
    net.output(&x);
    let case = Case::new(&net.model()).unwrap();
    let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
    let gates = fixed(&case, &mut Dice(fastrand::Rng::with_seed(9)), 0.5);
    let list: Vec<&Gate> = gates.iter().filter(|g| !g.channels.is_empty()).collect();
    assert!(list.len() >= 3, "{}", list.len());
    let masked = gated(&case.proto, &graph, &list, GateForm::Masked).unwrap();
    let given = inputs(&case, 4, 11);
    let run = |model: &ModelProto| cpu().outputs(&encode(model), &given).unwrap();
    let original = run(&case.proto);
    let far = |model: &ModelProto| difference(&original, &run(model), &original).raw;
    let (lost, kept) = (
        far(&masked),
        far(&fitted(&case, masked.clone(), &IndexRemaps::default())),
    );
    assert!(kept < lost, "{kept} of {lost}");
}

/// Behind masks that never change, layers are fitted as in the model without the channels.
#[test]
fn fixed_channels_lose_what_a_narrower_model_loses() {
    let mut dice = Dice(fastrand::Rng::with_seed(8));
    let case = Case::new(&fold_factors(chained(4)).unwrap()).unwrap();
    let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
    let gates = fixed(&case, &mut dice, 0.5);
    let mut change = ChannelChange::default();
    for gate in &gates {
        for channels in &gate.channels {
            let BranchStep::Conv(layer) = &gate.block.steps[channels.producer] else {
                panic!("no convolution makes the channels");
            };
            let dependencies = &case.analysis.dependencies;
            let made = dependencies.by_name(&graph.proto.node[layer.node].output[0]).unwrap();
            let kept = channels.fixed().unwrap();
            let gone = (0..layer.outputs).filter(|c| !kept.contains(c));
            let classes = gone.map(|c| dependencies.class(dependencies.atom(made, 1, c)));
            change.removed.extend(classes);
        }
    }
    let device = cpu();
    let list: Vec<&Gate> = gates.iter().collect();
    let masked = gated(&case.proto, &graph, &list, GateForm::Masked).unwrap();
    let cut = case.apply(&change).unwrap();
    let remaps = IndexRemaps::new(&case.analysis.dependencies, &case.analysis.groups, &change);
    let given = inputs(&case, 4, 11);
    let run = |model: &ModelProto| device.outputs(&encode(model), &given).unwrap();
    let original = run(&case.proto);
    let (behind, narrower) = (
        run(&fitted(&case, masked.clone(), &IndexRemaps::default())),
        run(&fitted(&case, cut.clone(), &remaps)),
    );
    let far = |a: &[_], b: &[_]| difference(a, b, &original).raw;
    assert!(far(&run(&masked), &run(&cut)) < 1e-5);
    assert!(far(&behind, &narrower) < 1e-3, "{}", far(&behind, &narrower));
    let (lost, kept) = (far(&original, &run(&cut)), far(&original, &narrower));
    assert!(kept < 0.7 * lost, "{kept} of {lost}");
}
