//! Running graphs in parts, splitting channels, and weights that make up for lost ones, on real models.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use common::net::Net;
use common::quantized::{Form, Layer, Scheme, Shares, model};
use common::{Case, cpu, difference, zoo_model};
use ndarray::{Array, IxDyn};
use snapprune::channels::{ChannelChange, IndexRemaps};
use snapprune::data::{Dataset, Scaling};
use snapprune::device::Limit;
use snapprune::onnx::{Dtype, Graph, Tensor};
use snapprune::plan::{Resource, SearchSpace, parameters};
use snapprune::reconstruct::{Change, FitSamples, Settings, reconstruct};
use snapprune::score::{LossSpec, Reference, StagedExecutor, Watch, crossing_bytes, linear_ops};

/// Random samples for a case, and the case's graph at their batch.
fn samples(case: &Case, count: usize) -> Dataset {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.npz");
    let mut random = fastrand::Rng::with_seed(5);
    let mut npz = ndarray_npy::NpzWriter::new(std::fs::File::create(&path).unwrap());
    for spec in &case.specs {
        let mut dims = spec.dims.clone();
        dims[0] = count;
        let array = Array::from_shape_fn(IxDyn(&dims), |_| random.f32() * 2.0 - 1.0);
        npz.add_array(spec.name.as_str(), &array).unwrap();
    }
    npz.finish().unwrap();
    Dataset::read(&path, &case.specs, Scaling::default()).unwrap()
}

#[test]
fn a_graph_run_in_parts_makes_the_same_outputs() {
    for stem in [
        "resnet20_cifar10_bn",
        "shufflenet_v2_x1_0",
        "googlenet",
        "yunet_n_dynamic",
        "mobilenet_v3_small",
    ] {
        let Some(path) = zoo_model(stem) else { return };
        let case = Case::open(&path);
        let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
        let data = samples(&case, 2);
        let device = cpu();
        let mut executor = StagedExecutor::new(&device, &data, 0..data.runs()).unwrap();
        let reference = Reference::of(&executor, &case.proto, &graph, &LossSpec::default()).unwrap();
        let count = graph.proto.node.len();
        let most = crossing_bytes(&graph, &case.analysis, 1);
        for stop in [count / 7, count / 3, count / 2, count * 4 / 5] {
            executor.advance(&case.proto, &graph, stop, &[]).unwrap();
            // What is held is no more than was said, but for the graph's outputs and shapes.
            let held: usize = executor.runs()[0]
                .iter()
                .filter(|(name, held)| held.dims().len() > 1 && graph.producer.contains_key(name.as_str()))
                .filter(|(name, _)| !graph.proto.output.iter().any(|o| o.name() == name.as_str()))
                .map(|(_, held)| 4 * held.dims().iter().skip(1).product::<usize>())
                .sum();
            assert!(
                held as u64 <= most,
                "{stem}: {held} bytes held at {stop}, {most} were foreseen"
            );
            let loss = reference.judge(&executor, &case.proto, &graph, stop).unwrap().loss();
            assert!(
                loss < 1e-9,
                "{stem}: {loss} when run in parts up to node {stop} of {count}"
            );
        }
    }
}

/// Every group of every model of the zoo grows by split channels, and the outputs stay.
#[test]
fn split_channels_keep_the_outputs_of_real_models() {
    for path in common::zoo() {
        let case = Case::open(&path);
        let mut change = ChannelChange {
            split: Some(3),
            ..Default::default()
        };
        for group in case.analysis.groups.iter().filter(|g| g.can_grow()) {
            change.added.insert(*group.classes.last().unwrap(), 2);
        }
        let name = path.display();
        let grown = case.apply(&change).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (a, b) = (case.run(&case.proto, 1).unwrap(), case.run(&grown, 1).unwrap());
        let plain =
            snapprune::device::Executor::outputs_plain(&cpu(), &snapprune::onnx::encode(&case.proto), &case.inputs(1))
                .unwrap();
        let found = difference(&a, &b, &plain);
        assert!(found.beyond_rounding < 1e-3, "{name}: {found:?}");
        let elements = |m: &snapprune::onnx::proto::ModelProto| snapprune::plan::parameters(m);
        if !change.added.is_empty() {
            assert!(elements(&grown) > elements(&case.proto), "{name}");
        }
    }
}

/// A hidden channel that another one repeats can go without any loss: the fit gives its work to the other.
#[test]
fn what_can_be_made_up_for_is_made_up_for() {
    let Some(path) = zoo_model("resnet20_cifar10") else {
        return;
    };
    let case = Case::open(&path);
    let (mut split, mut seen) = (ChannelChange::default(), Vec::new());
    split.split = Some(9);
    // Channels repeated by a split, on top of which the old ones are then removed.
    for group in case.analysis.groups.iter().filter(|g| g.can_grow()).take(4) {
        split.added.insert(group.classes[0], 1);
        seen.push(group.id);
    }
    let wider = Case::new(&case.apply(&split).unwrap()).unwrap();
    let graph = Graph::new(wider.proto.graph.as_ref().unwrap()).unwrap();
    let mut change = ChannelChange::default();
    for &g in &seen {
        change.removed.insert(wider.analysis.groups[g].classes[0]);
    }
    let remaps = IndexRemaps::new(&wider.analysis.dependencies, &wider.analysis.groups, &change);
    let pruned = wider.apply(&change).unwrap();
    let data = samples(&wider, 100);
    let parts = Change {
        model: &wider.proto,
        graph: &graph,
        analysis: &wider.analysis,
        remaps: &remaps,
        branches: &change.branches,
    };
    let settings = Settings {
        ridge: 1e-7,
        ..Settings::default()
    };
    let device = cpu();
    let fitted = reconstruct(
        &device,
        parts,
        pruned.clone(),
        FitSamples {
            data: &data,
            runs: 0..data.runs(),
            judge: 0..0,
        },
        settings,
        Watch {
            limit: &Limit::default(),
            progress: &|_, _| {},
        },
    )
    .unwrap()
    .proto;
    let before = wider.run(&wider.proto, 2).unwrap();
    let plain = wider.run(&wider.proto, 2).unwrap();
    let lost = difference(&before, &wider.run(&pruned, 2).unwrap(), &plain).raw;
    let kept = difference(&before, &wider.run(&fitted, 2).unwrap(), &plain).raw;
    assert!(lost > 0.02 && kept < 0.05 * lost, "{lost} {kept}");
}

/// Two quantized convolutions, 4 → 16 → 6 channels.
fn two_quantized(shares: Shares) -> Case {
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[1, 4, 8, 8]);
    let layer = Layer {
        form: Form::Qdq,
        scheme: Scheme {
            dtype: Dtype::Int8,
            zero: 0,
            shares,
            through: &[],
        },
        product: false,
        groups: 1,
        cin: 4,
        cout: 16,
        silent: &[],
    };
    let y = layer.add(&mut net, &x);
    let last = Layer {
        cin: 16,
        cout: 6,
        ..layer
    };
    let y = last.add(&mut net, &y);
    net.output(&y);
    Case::new(&model(net)).unwrap()
}

/// Three quantized convolutions, of which the middle one loses channels: the fit makes up for a part of it, in the integers and the
/// form that were there.
#[test]
fn quantized_layers_are_fitted_and_quantized_again() {
    for shares in [Shares::Tensor, Shares::Channel] {
        let case = two_quantized(shares);
        let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
        let group = case.analysis.groups.iter().find(|g| g.width() == 16).unwrap();
        let mut change = ChannelChange::default();
        change.removed.extend(&group.classes[..4]);
        let remaps = IndexRemaps::new(&case.analysis.dependencies, &case.analysis.groups, &change);
        let pruned = case.apply(&change).unwrap();
        let data = samples(&case, 64);
        let device = cpu();
        let fitted = reconstruct(
            &device,
            Change {
                model: &case.proto,
                graph: &graph,
                analysis: &case.analysis,
                remaps: &remaps,
                branches: &change.branches,
            },
            pruned.clone(),
            FitSamples {
                data: &data,
                runs: 0..data.runs(),
                judge: 0..0,
            },
            Settings::default(),
            Watch {
                limit: &Limit::default(),
                progress: &|_, _| {},
            },
        )
        .unwrap()
        .proto;
        let executor = StagedExecutor::new(&device, &data, 0..data.runs()).unwrap();
        let reference = Reference::of(&executor, &case.proto, &graph, &LossSpec::default()).unwrap();
        let loss = |proto: &snapprune::onnx::proto::ModelProto| {
            let own = Graph::new(proto.graph.as_ref().unwrap()).unwrap();
            reference.judge(&executor, proto, &own, 0).unwrap().loss()
        };
        let (lost, kept) = (loss(&pruned), loss(&fitted));
        assert!(lost > 1e-3 && kept < 0.8 * lost, "{shares:?}: {lost} {kept}");
        // The same nodes read constants of the same types and shapes.
        let form = |proto: &snapprune::onnx::proto::ModelProto| -> Vec<(i32, Vec<i64>)> {
            let all = &proto.graph.as_ref().unwrap().initializer;
            all.iter().map(|t| (t.data_type(), t.dims.clone())).collect()
        };
        assert_eq!(form(&fitted), form(&pruned));
        assert_ne!(fitted, pruned);
    }
}

/// The fit of a layer is the least-squares solution, whatever stands around it.
#[test]
fn every_layer_of_the_zoo_is_followed_as_rows_times_weights() {
    let mut layers = 0;
    for path in common::zoo() {
        let case = Case::open(&path);
        let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
        for linear_op in linear_ops(&graph) {
            let weights = linear_op.weights(&graph).unwrap();
            assert_eq!(
                weights.len(),
                linear_op.outputs * linear_op.columns(),
                "{}",
                path.display()
            );
            let node = &graph.proto.node[linear_op.node];
            let stored: Tensor = graph.constant(&node.input[1]).unwrap();
            assert_eq!(linear_op.stored_order(&weights), stored.to_f32().unwrap());
            layers += 1;
        }
    }
    assert!(layers == 0 || layers > 700, "{layers}");
}

/// A limit on parameters counts the integers of quantized weights as the written model's are counted.
#[test]
fn parameters_of_quantized_weights_are_counted_alike_before_and_after() {
    let case = two_quantized(Shares::Channel);
    let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
    let group = case.analysis.groups.iter().find(|g| g.width() == 16).unwrap();
    let base: Vec<usize> = case.analysis.groups.iter().map(|g| g.classes.len()).collect();
    let space = SearchSpace {
        groups: vec![group.id],
        options: vec![vec![12, 16]],
        base,
        together: Vec::new(),
    };
    let mut change = ChannelChange::default();
    change.removed.extend(&group.classes[12..]);
    let table = Resource::parameters(&space, &graph, &case.analysis);
    let narrower = case.apply(&change).unwrap();
    assert_eq!(table.of(&space.sizes(), &[0]) as u64, parameters(&narrower));
    assert_eq!(table.of(&space.sizes(), &[1]) as u64, parameters(&case.proto));
}
