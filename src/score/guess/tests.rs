//! Guesses against what samples of the same distributions give.

use super::{floored, guesses};
use crate::channels::moments::{ChannelMoments, PLACES, place};
use crate::channels::{Analysis, Shapes, analyze};
use crate::onnx::proto::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto};
use crate::onnx::{Attributes, Graph, Tensor};
use crate::ops::LinearOp;
use crate::score::{Statistics, linear_ops};

type Nodes = Vec<NodeProto>;
type Function = fn(f64) -> f64;

fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: Some(op.to_owned()),
        input: inputs.iter().map(|s| (*s).to_owned()).collect(),
        output: vec![output.to_owned()],
        ..Default::default()
    }
}

fn tensor(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    Tensor::from_f32(dims.to_vec(), values).to_proto(name)
}

fn named(name: &str) -> ValueInfoProto {
    ValueInfoProto {
        name: Some(name.to_owned()),
        ..Default::default()
    }
}

/// Nodes from `x` (1×2×4×4) to `y`, which a layer of one output reads; constants by name. What is guessed of `y`.
fn guessed(nodes: Nodes, constants: Vec<TensorProto>) -> (Statistics, Option<Vec<(f64, f64)>>) {
    let mut all = nodes;
    all.push(node("Conv", &["y", "read"], "out"));
    let mut initializer = constants;
    initializer.push(tensor("read", &[1, 2, 1, 1], &[1.0, 1.0]));
    let graph = GraphProto {
        node: all,
        initializer,
        input: vec![named("x")],
        output: vec![named("out")],
        ..Default::default()
    };
    let mut shapes = Shapes::default();
    for n in &graph.node {
        let dims = if n.op_type() == "Identity" {
            vec![2, 1, 1]
        } else {
            vec![1, 2, 4, 4]
        };
        shapes
            .dims
            .extend(n.output.iter().map(|name| (name.clone(), dims.clone())));
    }
    shapes.dims.insert("x".to_owned(), vec![1, 2, 4, 4]);
    shapes.dims.insert("out".to_owned(), vec![1, 1, 4, 4]);
    let graph = Graph::new(&graph).expect("it is a graph");
    let analysis: Analysis = analyze(&graph, 17, &shapes).expect("it is analyzed");
    let layers: Vec<LinearOp> = linear_ops(&graph);
    let statistics = Statistics::guessed(&graph, &analysis, &layers);
    let found = guesses(&graph, &analysis).remove("y").map(|g| g.1);
    (statistics, found)
}

fn near(found: &[(f64, f64)], right: &[(f64, f64)]) -> bool {
    let close = |a: f64, b: f64| (a - b).abs() < 0.01 * (1.0 + b.abs());
    found.len() == right.len() && found.iter().zip(right).all(|(a, b)| close(a.0, b.0) && close(a.1, b.1))
}

#[test]
fn constants_enter_exactly_in_any_shape() {
    let k = || tensor("k", &[2, 1, 1], &[2.0, -4.0]);
    let one = || tensor("k", &[], &[3.0]);
    let wide = || tensor("k", &[1, 2, 1, 1], &[2.0, -4.0]);
    let of = |op: &str, k: TensorProto| guessed(vec![node(op, &["x", "k"], "y")], vec![k]).1.unwrap_or_default();
    assert!(near(&of("Add", k()), &[(2.0, 1.0), (-4.0, 1.0)]));
    assert!(near(&of("Sub", wide()), &[(-2.0, 1.0), (4.0, 1.0)]));
    assert!(near(&of("Mul", wide()), &[(0.0, 4.0), (0.0, 16.0)]));
    assert!(near(&of("Div", k()), &[(0.0, 0.25), (0.0, 1.0 / 16.0)]));
    assert!(near(&of("Add", one()), &[(3.0, 1.0), (3.0, 1.0)]));
    assert!(near(&of("Max", tensor("k", &[1], &[0.0])), &[(0.3989, 0.3408); 2]));
    assert!(near(&of("Min", tensor("k", &[1], &[0.0])), &[(-0.3989, 0.3408); 2]));
    assert!(near(&of("Pow", tensor("k", &[1], &[2.0])), &[(1.0, 2.0); 2]));
    let turned = guessed(vec![node("Sub", &["k", "x"], "y")], vec![k()]).1;
    assert!(near(&turned.unwrap_or_default(), &[(2.0, 1.0), (-4.0, 1.0)]));
}

#[test]
fn constants_are_seen_through_operators_that_view_them() {
    let nodes = vec![node("Identity", &["flat"], "same"), node("Mul", &["x", "same"], "y")];
    let found = guessed(nodes, vec![tensor("flat", &[2, 1, 1], &[2.0, 3.0])]).1;
    assert!(near(&found.unwrap_or_default(), &[(0.0, 4.0), (0.0, 9.0)]));
}

#[test]
fn every_activation_has_the_moments_of_samples() {
    let mut random = fastrand::Rng::with_seed(1);
    // Twelve uniform numbers make a normal one, near enough.
    let samples: Vec<f64> = (0..60_000)
        .map(|_| (0..12).map(|_| random.f64()).sum::<f64>() - 6.0)
        .collect();
    let table: [(&str, Function); 8] = [
        ("Relu", |x| x.max(0.0)),
        ("LeakyRelu", |x| if x < 0.0 { 0.01 * x } else { x }),
        ("HardSwish", |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        ("Tanh", f64::tanh),
        ("Sigmoid", |x| 1.0 / (1.0 + (-x).exp())),
        ("Elu", |x| if x < 0.0 { x.exp() - 1.0 } else { x }),
        ("Softplus", |x| (1.0 + x.exp()).ln()),
        ("Abs", f64::abs),
    ];
    for (op, f) in table {
        let n = samples.len() as f64;
        let mean = samples.iter().map(|&x| f(x)).sum::<f64>() / n;
        let variance = samples.iter().map(|&x| (f(x) - mean).powi(2)).sum::<f64>() / n;
        let found = guessed(vec![node(op, &["x"], "y")], vec![]).1.unwrap_or_default();
        assert!(
            near(&found, &[(mean, variance); 2]),
            "{op}: {found:?}, not {mean} {variance}"
        );
    }
}

#[test]
fn a_product_with_its_own_sigmoid_is_no_product_of_independent_numbers() {
    let nodes = vec![node("Sigmoid", &["x"], "s"), node("Mul", &["x", "s"], "y")];
    let found = guessed(nodes, vec![]).1.unwrap_or_default();
    // The mean of x · sigmoid(x) for a normal x is that of its derivative: E[sigmoid'(x)] = 0.2066.
    assert!((found[0].0 - 0.2066).abs() < 0.002, "{found:?}");
}

#[test]
fn an_operator_without_a_rule_makes_what_follows_unknown_until_a_normalization() {
    let (statistics, found) = guessed(vec![node("Det", &["x"], "d"), node("Relu", &["d"], "y")], vec![]);
    assert!(found.is_none() && statistics.blind.len() == 1);
    let list = |name: &str, values: &[f32]| tensor(name, &[2], values);
    let mut norm = node("BatchNormalization", &["d", "s", "b", "m", "v"], "y");
    norm.attribute = Vec::<AttributeProto>::new();
    let constants = vec![
        list("s", &[2.0, 0.5]),
        list("b", &[1.0, -1.0]),
        list("m", &[9.0, 9.0]),
        list("v", &[9.0, 9.0]),
    ];
    let (statistics, found) = guessed(vec![node("Det", &["x"], "d"), norm], constants);
    assert!(near(&found.unwrap_or_default(), &[(1.0, 4.0), (-1.0, 0.25)]) && statistics.blind.is_empty());
}

#[test]
fn no_channel_is_free_by_a_guess_alone() {
    let dead = floored(vec![(0.0, 0.0), (0.0, 1.0)]);
    assert!(dead[0].1 >= 0.01);
    // Large means swallow small variances in sums of squares.
    let steady = floored(vec![(1e6, 1e-9), (1e6, 0.0)]);
    assert!(steady.iter().all(|c| c.1 > 1e6));
    assert_eq!(floored(vec![(0.0, 0.0); 3]), [(0.0, 1.0); 3]);
}

#[test]
fn places_make_a_normal_distribution() {
    let whole: f64 = (0..PLACES).map(|at| place(at).1).sum();
    assert!((whole - 1.0).abs() < 1e-5);
    let moments = ChannelMoments::normal(1, &[(3.0, 4.0)]).moments().unwrap_or_default();
    assert!((moments[0].0 - 3.0).abs() < 1e-9 && (moments[0].1 - 4.0).abs() < 1e-3);
}

/// What is guessed of the value `y` that `nodes` make from an `x` of the given extents, with a layer of products behind it.
fn followed(
    nodes: Nodes,
    constants: Vec<TensorProto>,
    shapes: &[(&str, &[usize])],
    weights: &[usize],
) -> Option<Vec<(f64, f64)>> {
    let mut all = nodes;
    all.push(node("MatMul", &["y", "read"], "out"));
    let mut initializer = constants;
    initializer.push(tensor("read", weights, &vec![1.0; weights.iter().product()]));
    let graph = GraphProto {
        node: all,
        initializer,
        input: vec![named("x")],
        output: vec![named("out")],
        ..Default::default()
    };
    let mut known = Shapes::default();
    known
        .dims
        .extend(shapes.iter().map(|(name, dims)| ((*name).to_owned(), dims.to_vec())));
    let graph = Graph::new(&graph).expect("it is a graph");
    let analysis = analyze(&graph, 17, &known).expect("it is analyzed");
    guesses(&graph, &analysis).remove("y").map(|g| g.1)
}

fn integers(name: &str, values: &[i64]) -> TensorProto {
    Tensor::from_i64(values).to_proto(name)
}

#[test]
fn of_an_axis_without_channels_nothing_is_known() {
    let slice = node("Slice", &["x", "from", "to", "axes", "steps"], "y");
    let constants = vec![
        integers("from", &[-1]),
        integers("to", &[-100]),
        integers("axes", &[1]),
        integers("steps", &[-1]),
    ];
    let shapes: [(&str, &[usize]); 3] = [("x", &[1, 0, 4]), ("y", &[1, 0, 4]), ("out", &[1, 0, 1])];
    assert_eq!(followed(vec![slice], constants, &shapes, &[4, 1]), None);
}

#[test]
fn an_axis_that_is_named_twice_is_reduced_once() {
    let mut mean = node("ReduceMean", &["x"], "y");
    mean.set_int("keepdims", 0);
    mean.set_ints("axes", vec![0, -3]);
    let shapes: [(&str, &[usize]); 3] = [("x", &[9, 2, 4]), ("y", &[2, 4]), ("out", &[2, 1])];
    let found = followed(vec![mean], vec![], &shapes, &[4, 1]).unwrap_or_default();
    // Nine places count as the root of their number.
    assert!(near(&found, &[(0.0, 1.0 / 3.0); 2]), "{found:?}");
}

#[test]
fn a_normalization_without_numbers_makes_its_output_unknown() {
    let list = |name: &str, values: &[f32]| tensor(name, &[values.len()], values);
    let norm = node("BatchNormalization", &["x", "s", "b", "m", "v"], "y");
    let constants = vec![
        list("s", &[]),
        list("b", &[]),
        list("m", &[0.0, 0.0]),
        list("v", &[1.0, 1.0]),
    ];
    assert_eq!(guessed(vec![norm], constants).1, None);
}

#[test]
fn every_input_of_a_mean_counts_alike() {
    let nodes = vec![node("Mean", &["x", "k", "l"], "y")];
    let constants = vec![
        tensor("k", &[2, 1, 1], &[3.0, 6.0]),
        tensor("l", &[2, 1, 1], &[6.0, -12.0]),
    ];
    let found = guessed(nodes, constants).1.unwrap_or_default();
    assert!(near(&found, &[(3.0, 1.0 / 9.0), (-2.0, 1.0 / 9.0)]), "{found:?}");
    let nodes = vec![node("Relu", &["x"], "r"), node("Mean", &["x", "r", "x", "r"], "y")];
    let found = guessed(nodes, vec![]).1.unwrap_or_default();
    assert!((found[0].0 - 0.5 * 0.3989).abs() < 0.002, "{found:?}");
}
