//! Operators that compute each element alike.

use super::super::tape::{Products, Tape};
use super::reduce::unbroadcast;
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Dtype};

/// Sums, differences, products and quotients, with broadcasts.
pub fn arithmetic(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let (a, b) = (node.input.first()?, node.input.get(1)?);
    let y = tape.dims.get(node.output.first()?)?.clone();
    let mut found = Vec::new();
    for i in 0..2 {
        if !tape.wants(node, i) {
            continue;
        }
        let own = tape.input_dims(node, i)?;
        let gradient = match (node.op_type(), i) {
            ("Add", _) | ("Sub", 0) => dy.to_owned(),
            ("Sub", _) => tape.builder.op("Neg", &[dy], &[]),
            ("Mul", 0) => tape.builder.op("Mul", &[dy, b], &[]),
            ("Mul", _) => tape.builder.op("Mul", &[dy, a], &[]),
            ("Div", 0) => tape.builder.op("Div", &[dy, b], &[]),
            _ => {
                let made = tape.builder.op("Mul", &[dy, node.output.first()?], &[]);
                let over = tape.builder.op("Div", &[&made, b], &[]);
                tape.builder.op("Neg", &[&over], &[])
            }
        };
        found.push((i, unbroadcast(tape, gradient, &y, &own)?));
    }
    Some(found)
}

/// Functions of one number: the gradient times the slope.
pub fn function(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let slope = slope(tape, node)?;
    Some(vec![(0, tape.builder.op("Mul", &[dy, &slope], &[]))])
}

/// The slope of a function at each element.
fn slope(tape: &mut Tape, node: &NodeProto) -> Option<String> {
    let (x, y) = (node.input.first()?.as_str(), node.output.first()?.as_str());
    let one = |tape: &mut Tape| tape.scalar(1.0);
    Some(match node.op_type() {
        "Relu" => above(tape, y, 0.0),
        "Clip" => {
            let least = tape.number(node, 1, "min", f32::MIN)?;
            let most = tape.number(node, 2, "max", f32::MAX)?;
            between(tape, y, least, most)
        }
        "LeakyRelu" => {
            let alpha = node.float("alpha", 0.01);
            let mask = above(tape, x, 0.0);
            scaled(tape, &mask, 1.0 - alpha, alpha)
        }
        "HardSigmoid" => {
            let mask = between(tape, y, 0.0, 1.0);
            scaled(tape, &mask, node.float("alpha", 0.2), 0.0)
        }
        "HardSwish" => {
            let (inside, beyond) = (between(tape, x, -3.0, 3.0), above(tape, x, 3.0));
            let line = scaled(tape, x, 1.0 / 3.0, 0.5);
            let inner = tape.builder.op("Mul", &[&inside, &line], &[]);
            tape.builder.op("Add", &[&inner, &beyond], &[])
        }
        "Sigmoid" => {
            let one = one(tape);
            let rest = tape.builder.op("Sub", &[&one, y], &[]);
            tape.builder.op("Mul", &[y, &rest], &[])
        }
        "Tanh" => {
            let one = one(tape);
            let square = tape.builder.op("Mul", &[y, y], &[]);
            tape.builder.op("Sub", &[&one, &square], &[])
        }
        "Erf" => {
            let square = tape.builder.op("Mul", &[x, x], &[]);
            let opposite = tape.builder.op("Neg", &[&square], &[]);
            let bell = tape.builder.op("Exp", &[&opposite], &[]);
            scaled(tape, &bell, std::f32::consts::FRAC_2_SQRT_PI, 0.0)
        }
        "Softplus" => tape.builder.op("Sigmoid", &[x], &[]),
        "Exp" => y.to_owned(),
        "Neg" => tape.scalar(-1.0),
        "Sqrt" => {
            let half = tape.scalar(0.5);
            tape.builder.op("Div", &[&half, y], &[])
        }
        _ => return None,
    })
}

/// 1 where a value is above a limit, else 0.
fn above(tape: &mut Tape, value: &str, limit: f32) -> String {
    let limit = tape.scalar(limit);
    let mask = tape.builder.op("Greater", &[value, &limit], &[]);
    floats(tape, &mask)
}

/// 1 where a value lies between two limits, else 0.
pub fn between(tape: &mut Tape, value: &str, least: f32, most: f32) -> String {
    let (least, most) = (tape.scalar(least), tape.scalar(most));
    let over = tape.builder.op("Greater", &[value, &least], &[]);
    let under = tape.builder.op("Less", &[value, &most], &[]);
    let both = tape.builder.op("And", &[&over, &under], &[]);
    floats(tape, &both)
}

/// Truth as 1 and 0.
pub fn floats(tape: &mut Tape, mask: &str) -> String {
    tape.builder.op("Cast", &[mask], &[("to", &[Dtype::Float as i64])])
}

/// `factor · value + offset`.
fn scaled(tape: &mut Tape, value: &str, factor: f32, offset: f32) -> String {
    let factor = tape.scalar(factor);
    let product = tape.builder.op("Mul", &[value, &factor], &[]);
    if offset == 0.0 {
        return product;
    }
    let offset = tape.scalar(offset);
    tape.builder.op("Add", &[&product, &offset], &[])
}
