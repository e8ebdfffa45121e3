//! Where gradients stop, and which weights stay then.

use super::rules::{X, map, numbers};
use crate::common::cpu;
use snapprune::distill::{Gradients, Stopped};
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Attributes, Tensor};

/// Weights that are trained, and what stops the gradients of others.
fn reached(model: &ModelProto, y: &str) -> (usize, Stopped) {
    let inputs = vec![("x".to_owned(), Tensor::from_f32(X.to_vec(), &[0.3; 216]))];
    let of = Gradients::of(&cpu(), model, &inputs, &[numbers(y)]).unwrap();
    let gradients = of.unwrap_or_else(|stopped| panic!("{stopped:?}"));
    (gradients.weights().len(), gradients.stopped)
}

/// Of a weight that a value of another type hangs on, too, no part of a gradient is taken.
#[test]
fn values_of_other_types_stop_gradients() {
    let (mut net, y) = map(21);
    let half = net.node("Cast", &[&y], |n| n.set_int("to", 10));
    let back = net.node("Cast", &[&half], |n| n.set_int("to", 1));
    let sum = net.node("Add", &[&y, &back], |_| {});
    let y = net.conv(&sum, 4, 2, 1, 1);
    net.output(&y);
    let (trained, stopped) = reached(&net.model(), &y);
    assert_eq!((trained, stopped.weights, stopped.by), (2, 2, vec!["Cast".to_owned()]));
}

/// A weight in front of an operator without a rule stays, also where another path leads around it; those behind are trained.
#[test]
fn an_operator_without_a_rule_stops_gradients() {
    let (mut net, y) = map(20);
    let odd = net.node("Floor", &[&y], |_| {});
    let sum = net.node("Add", &[&y, &odd], |_| {});
    let y = net.conv(&sum, 4, 2, 1, 1);
    net.output(&y);
    let (trained, stopped) = reached(&net.model(), &y);
    assert_eq!((trained, stopped.weights, stopped.by), (2, 2, vec!["Floor".to_owned()]));
}

/// Exporters write equal initializers once: one that is a variance too is not trained as a scale.
#[test]
fn statistics_are_not_trained() {
    let (mut net, y) = map(22);
    let (one, zero) = (net.floats(&[4], 1.0, 1.0), net.floats(&[4], 0.0, 0.0));
    let y = net.node("BatchNormalization", &[&y, &one, &zero, &zero, &one], |_| {});
    net.output(&y);
    let (trained, stopped) = reached(&net.model(), &y);
    assert_eq!((trained, stopped.weights), (2, 0));
}
