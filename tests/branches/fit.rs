//! What is left makes up for a branch that went.

use std::collections::BTreeSet;

use super::{Block, all_gone, apart, global_context, network, none, plain, relu};
use crate::common::{Case, cpu};
use snapprune::channels::{ChannelChange, IndexRemaps};
use snapprune::data::Dataset;
use snapprune::device::Limit;
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Graph, encode};
use snapprune::reconstruct::{Change, FitSamples, Settings, fitted_nodes, reconstruct, reconstruct_from};
use snapprune::score::{StagedExecutor, Watch};

/// The rewritten model, and the same with up to `layers` of its layers fitted.
fn without(case: &Case, branches: BTreeSet<usize>, layers: usize) -> [ModelProto; 2] {
    let change = ChannelChange {
        branches,
        ..Default::default()
    };
    changed(case, &change, layers)
}

fn changed(case: &Case, change: &ChannelChange, layers: usize) -> [ModelProto; 2] {
    let graph = Graph::of(&case.proto).unwrap();
    let pruned = case.apply(change).unwrap();
    let data = Dataset::random(&case.specs, 40, 3).unwrap();
    let device = cpu();
    let fitted = reconstruct(
        &device,
        Change {
            model: &case.proto,
            graph: &graph,
            analysis: &case.analysis,
            remaps: &IndexRemaps::default(),
            branches: &change.branches,
        },
        pruned.clone(),
        FitSamples {
            data: &data,
            runs: 0..data.runs(),
            judge: 0..0,
        },
        Settings {
            ridge: 1e-7,
            layers,
            ..Settings::default()
        },
        Watch {
            limit: &Limit::default(),
            progress: &|_, _| {},
        },
    );
    [pruned, fitted.unwrap().proto]
}

/// On a linear trunk the layer in front can do what a linear branch did, and what several in a row did.
#[test]
fn the_layer_in_front_makes_up_for_linear_branches() {
    let linear: Block = |net, x| {
        let mut y = x.to_owned();
        for _ in 0..2 {
            let f = net.conv(&y, 8, 12, 1, 1);
            let f = net.conv(&f, 12, 8, 1, 1);
            y = net.node("Add", &[&y, &f], none);
        }
        y
    };
    let case = network(linear);
    let all: BTreeSet<usize> = case.analysis.branches.keys().copied().collect();
    assert_eq!(all.len(), 2);
    for branches in [
        all.clone(),
        all.iter().take(1).copied().collect(),
        all.iter().skip(1).copied().collect(),
    ] {
        let one = branches.len() == 1;
        let [pruned, fitted] = without(&case, branches, 1);
        let (lost, kept) = (apart(&case, &case.proto, &pruned), apart(&case, &case.proto, &fitted));
        assert!(lost > 0.1 && kept < 0.02 * lost, "{one}: {lost} {kept}");
    }
}

/// Behind a Relu a part of it can be made up for.
#[test]
fn the_layers_around_make_up_for_a_part_of_others() {
    let two: Block = |net, x| {
        let x = relu(net, x);
        let x = net.conv(&x, 8, 8, 3, 1);
        let y = plain(net, &x);
        plain(net, &y)
    };
    let case = network(two);
    let all: BTreeSet<usize> = case.analysis.branches.keys().copied().collect();
    let [pruned, fitted] = without(&case, all, usize::MAX);
    let (lost, kept) = (apart(&case, &case.proto, &pruned), apart(&case, &case.proto, &fitted));
    assert!(kept < 0.7 * lost, "{lost} {kept}");
}

/// What a branch loses is measured from where the model begins to differ on.
#[test]
fn a_fit_from_within_the_model_is_the_same() {
    let case = network(|net, x| {
        let x = relu(net, x);
        let x = net.conv(&x, 8, 8, 3, 1);
        let y = plain(net, &x);
        plain(net, &y)
    });
    let (graph, device) = (Graph::of(&case.proto).unwrap(), cpu());
    let data = Dataset::random(&case.specs, 40, 3).unwrap();
    for &add in case.analysis.branches.keys() {
        let branches = BTreeSet::from([add]);
        let [pruned, fitted] = without(&case, branches.clone(), 2);
        let change = Change {
            model: &case.proto,
            graph: &graph,
            analysis: &case.analysis,
            remaps: &IndexRemaps::default(),
            branches: &branches,
        };
        let settings = Settings {
            ridge: 1e-7,
            layers: 2,
            ..Settings::default()
        };
        let nodes = fitted_nodes(change, &pruned, settings).unwrap().unwrap();
        assert!(nodes.start > 0 && nodes.end > add);
        let mut start = StagedExecutor::new(&device, &data, 0..data.runs()).unwrap();
        start.advance(&case.proto, &graph, nodes.start, &[]).unwrap();
        let watch = Watch {
            limit: &Limit::default(),
            progress: &|_, _| {},
        };
        let from_there = reconstruct_from(&start, change, pruned.clone(), settings, watch).unwrap();
        let moved = apart(&case, &pruned, &fitted);
        let differ = apart(&case, &from_there.proto, &fitted);
        assert!(moved > 1e-3 && differ < 1e-4 * moved, "{moved} {differ}");
    }
}

/// A broadcast that goes is no branch that does: nothing has to be made up for.
#[test]
fn layers_around_a_broadcast_that_goes_stay_as_they_are() {
    let case = network(global_context);
    assert_eq!((case.analysis.broadcasts.len(), case.analysis.branches.len()), (1, 1));
    let change = ChannelChange {
        broadcasts: case.analysis.broadcasts.clone(),
        ..Default::default()
    };
    let [pruned, fitted] = changed(&case, &change, usize::MAX);
    assert!(apart(&case, &case.proto, &pruned) < 1e-6);
    assert!(apart(&case, &case.proto, &fitted) < 1e-6);
    let [pruned, fitted] = changed(&case, &all_gone(&case), usize::MAX);
    assert_ne!(encode(&pruned), encode(&fitted));
}
