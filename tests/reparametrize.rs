//! Models that equal the original: trunks rotated, layers as two.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use common::net::{Net, halved, set_float};
use common::{Case, cpu, difference};
use snapprune::channels::{ChannelChange, IndexRemaps};
use snapprune::device::Executor;
use snapprune::device::Limit;
use snapprune::onnx::proto::{ModelProto, NodeProto};
use snapprune::onnx::{Attributes, Graph, Tensor, encode};
use snapprune::plan::Pair;
use snapprune::reparametrize::{
    Basis, Covariances, Trunk, Watched, factorable, is_held_by_type, rotate, trunk, with_pairs,
};
use snapprune::rewrite::rewrite;
use snapprune::score::{StagedExecutor, Watch};

/// A trunk of 12 channels: a stem, a block with a BatchNormalization, a strided shortcut of its own, and readers with and without padding.
fn bottlenecks(bend: impl Fn(&mut Net, String) -> String) -> ModelProto {
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[2, 3, 8, 8]);
    let stem = net.conv(&x, 3, 12, 3, 1);
    let stem = bend(&mut net, stem);
    let wide = net.conv(&stem, 12, 24, 1, 1);
    let wide = net.node("Relu", &[&wide], |_| {});
    let wide = net.conv(&wide, 24, 24, 3, 24);
    let wide = net.node("Relu", &[&wide], |_| {});
    let w = net.weights(&[12, 24, 1, 1]);
    let back = net.node("Conv", &[&wide, &w], |_| {});
    let back = norm(&mut net, &back, 12);
    let sum = net.node("Add", &[&back, &stem], |_| {});
    let inside = net.conv(&sum, 12, 12, 1, 1);
    let sum = net.node("Add", &[&inside, &sum], |_| {});
    let padded = net.conv(&sum, 12, 10, 3, 1);
    let out = net.node("Relu", &[&padded], |_| {});
    net.output(&out);
    let pooled = net.node("GlobalAveragePool", &[&sum], |_| {});
    let head = net.conv(&pooled, 12, 5, 1, 1);
    net.output(&head);
    net.model()
}

fn norm(net: &mut Net, x: &str, channels: usize) -> String {
    let scale = net.floats(&[channels], 0.5, 1.5);
    let shift = net.floats(&[channels], -0.5, 0.5);
    let mean = net.floats(&[channels], -0.5, 0.5);
    let variance = net.floats(&[channels], 0.5, 1.5);
    net.node("BatchNormalization", &[x, &scale, &shift, &mean, &variance], |n| {
        set_float(n, "epsilon", 1e-3);
    })
}

fn straight(_: &mut Net, x: String) -> String {
    x
}

/// The trunks of a model.
fn trunks(case: &Case) -> Vec<Trunk> {
    let graph = Graph::of(&case.proto).unwrap();
    let groups = case.analysis.groups.iter();
    groups.filter_map(|g| trunk(&graph, &case.analysis, g)).collect()
}

/// How the values of a trunk vary over random inputs.
fn covariances(case: &Case, trunk: &Trunk) -> Covariances {
    let device = cpu();
    let graph = Graph::of(&case.proto).unwrap();
    let mut executor = StagedExecutor::of(&device, &case.inputs(1)).unwrap();
    let wanted = trunk.read(&graph).into_iter().map(|(name, made_by)| Watched {
        name: name.to_owned(),
        made_by,
        layer: trunk.consumers[0].clone(),
    });
    let watch = Watch {
        limit: &Limit::default(),
        progress: &|_, _| {},
    };
    Covariances::collect(&mut executor, (&case.proto, &graph), wanted.collect(), 64, 0, watch).unwrap()
}

fn basis(case: &Case, trunk: &Trunk) -> Basis {
    let graph = Graph::of(&case.proto).unwrap();
    trunk.basis(&graph, &covariances(case, trunk)).unwrap()
}

fn assert_equal(case: &Case, other: &ModelProto) {
    let (before, after) = (case.run(&case.proto, 7).unwrap(), case.run(other, 7).unwrap());
    let plain = cpu().outputs_plain(&encode(&case.proto), &case.inputs(7)).unwrap();
    let difference = difference(&before, &after, &plain);
    assert!(difference.raw < 1e-4, "{difference:?}");
}

#[test]
fn a_rotated_trunk_makes_the_same_outputs() {
    let case = Case::new(&bottlenecks(straight)).unwrap();
    let found = trunks(&case);
    assert_eq!(found.len(), 1);
    let one = &found[0];
    assert_eq!((one.width, one.producers.len(), one.consumers.len()), (12, 3, 4));
    assert_eq!(one.producers.iter().filter(|p| p.norm.is_some()).count(), 1);
    let mut proto = case.proto.clone();
    assert!(rotate(&mut proto, one, &basis(&case, one)).unwrap());
    assert_ne!(encode(&proto), encode(&case.proto));
    assert_equal(&case, &proto);
}

#[test]
fn weights_behind_an_identity_are_rotated_and_those_of_float16_only_told() {
    let mut proto = bottlenecks(straight);
    let graph = proto.graph.as_mut().unwrap();
    let mut shared = Vec::new();
    for node in graph.node.iter_mut().filter(|n| n.op_type() == "Conv") {
        let name = format!("{}.shared", node.input[1]);
        let own = std::mem::replace(&mut node.input[1], name.clone());
        shared.push(NodeProto {
            op_type: Some("Identity".to_owned()),
            input: vec![own],
            output: vec![name],
            ..NodeProto::default()
        });
    }
    graph.node.splice(0..0, shared);
    let case = Case::new(&proto).unwrap();
    let trunk = trunks(&case).remove(0);
    let mut rotated = proto.clone();
    assert!(rotate(&mut rotated, &trunk, &basis(&case, &trunk)).unwrap());
    assert_equal(&case, &rotated);

    let held = |proto: &ModelProto| {
        let case = Case::new(proto).unwrap();
        let graph = Graph::of(&case.proto).unwrap();
        let groups = case.analysis.groups.iter();
        groups.filter(|g| is_held_by_type(&graph, &case.analysis, g)).count()
    };
    assert_eq!((held(&proto), held(&halved(bottlenecks(straight)))), (0, 1));
}

#[test]
fn what_is_not_linear_is_no_trunk() {
    let relu = |net: &mut Net, x: String| net.node("Relu", &[&x], |_| {});
    let given_out = |net: &mut Net, x: String| {
        net.output(&x);
        x
    };
    let gated = |net: &mut Net, x: String| {
        let mean = net.node("GlobalAveragePool", &[&x], |_| {});
        let gate = net.node("Sigmoid", &[&mean], |_| {});
        net.node("Mul", &[&x, &gate], |_| {})
    };
    let joined = |net: &mut Net, x: String| {
        let half = net.conv(&x, 12, 6, 1, 1);
        let other = net.conv(&x, 12, 6, 1, 1);
        net.node("Concat", &[&half, &other], |n| n.set_int("axis", 1))
    };
    let shifted = |net: &mut Net, x: String| {
        let by = net.floats(&[1, 12, 1, 1], -1.0, 1.0);
        net.node("Add", &[&x, &by], |_| {})
    };
    let depthwise = |net: &mut Net, x: String| net.conv(&x, 12, 12, 3, 12);
    let normed = |net: &mut Net, x: String| {
        let other = net.conv(&x, 12, 12, 1, 1);
        let sum = net.node("Add", &[&x, &other], |_| {});
        norm(net, &sum, 12)
    };
    type Bend<'a> = &'a dyn Fn(&mut Net, String) -> String;
    let bends: [Bend; 7] = [&relu, &given_out, &gated, &joined, &shifted, &depthwise, &normed];
    for (k, bend) in bends.into_iter().enumerate() {
        let case = Case::new(&bottlenecks(bend)).unwrap();
        // The stream of what follows the bend is joined to it; what `joined` reads alone is one by itself.
        let found: Vec<usize> = trunks(&case).iter().map(|t| t.consumers.len()).collect();
        let expected: &[usize] = if k == 3 { &[2] } else { &[] };
        assert_eq!(found, expected, "bend {k}");
    }
}

/// A convolution whose 16 outputs have four directions, between others.
fn of_low_rank() -> ModelProto {
    let mut net = Net::new(17, 9);
    let x = net.input("x", &[2, 3, 9, 9]);
    let first = net.conv(&x, 3, 8, 3, 1);
    let first = net.node("Relu", &[&first], |_| {});
    let mut random = fastrand::Rng::with_seed(4);
    let mut any = |n: usize| -> Vec<f32> { (0..n).map(|_| random.f32() - 0.5).collect() };
    let (left, right) = (any(16 * 4), any(4 * 72));
    let product = |k: usize| (0..4).map(|r| left[k / 72 * 4 + r] * right[r * 72 + k % 72]).sum();
    let weights: Vec<f32> = (0..16 * 72).map(product).collect();
    let w = net.constant(&Tensor::from_f32(vec![16, 8, 3, 3], &weights));
    let b = net.floats(&[16], -0.3, 0.3);
    let low = net.node("Conv", &[&first, &w, &b], |n| {
        n.set_ints("pads", vec![1; 4]);
        n.set_ints("strides", vec![2, 2]);
    });
    let low = norm(&mut net, &low, 16);
    let low = net.node("Relu", &[&low], |_| {});
    let out = net.conv(&low, 16, 4, 3, 1);
    net.output(&out);
    net.model()
}

#[test]
fn a_layer_of_low_rank_loses_nothing_as_two() {
    let proto = of_low_rank();
    let graph = Graph::of(&proto).unwrap();
    let at = graph
        .producer
        .values()
        .copied()
        .find(|&n| graph.proto.node[n].ints("strides").is_some())
        .unwrap();
    let layer = factorable(&graph, at).unwrap();
    let original = Case::new(&proto).unwrap();
    let (two, pairs) = with_pairs(&proto, &[at]).unwrap();
    let [Pair { inner, output, .. }] = pairs.as_slice() else {
        panic!("one pair")
    };
    assert_eq!(*output, layer.output);
    assert_equal(&original, &two);
    let case = Case::new(&two).unwrap();
    let one = trunks(&case)
        .into_iter()
        .find(|t| t.consumers[0].input == *inner)
        .unwrap();
    let basis = basis(&case, &one);
    assert_eq!(basis.rank(1e-5), 4);
    let mut rotated = two.clone();
    assert!(rotate(&mut rotated, &one, &basis).unwrap());
    assert_equal(&original, &rotated);
    // What is behind the fourth direction carries nothing.
    let case = Case { proto: rotated, ..case };
    let group = &case.analysis.groups[one.group];
    let mut change = ChannelChange::default();
    change.removed.extend(&group.classes[4..]);
    let graph = Graph::of(&case.proto).unwrap();
    let cut = rewrite(&case.proto, &graph, &case.analysis, &change, &[]).unwrap();
    let remaps = IndexRemaps::new(&case.analysis.dependencies, &case.analysis.groups, &change);
    assert!(remaps.touches(
        &case.analysis.dependencies,
        case.analysis.dependencies.by_name(inner).unwrap()
    ));
    assert_equal(&original, &cut);
}
