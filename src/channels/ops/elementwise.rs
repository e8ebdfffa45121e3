//! Operators on single elements: activations, arithmetic with broadcasting, casts.

use super::super::dependency_graph::ValueId;
use super::{DependencyBuilder, OpSpec, Policy, RuleResult, op};
use crate::onnx::Attributes;

const fn unary_op(name: &'static str) -> OpSpec {
    op(name, unary, None, Policy::Follow, "")
}

const fn broadcast_op(name: &'static str) -> OpSpec {
    op(
        name,
        broadcast,
        None,
        Policy::Follow,
        "constants of shape C, 1×C×1×1 and scalars follow",
    )
}

pub(super) const OPS: &[OpSpec] = &[
    unary_op("Relu"),
    unary_op("LeakyRelu"),
    unary_op("ThresholdedRelu"),
    unary_op("Elu"),
    unary_op("Celu"),
    unary_op("Selu"),
    unary_op("Sigmoid"),
    unary_op("HardSigmoid"),
    unary_op("HardSwish"),
    unary_op("Swish"),
    unary_op("Mish"),
    unary_op("Gelu"),
    unary_op("Tanh"),
    unary_op("Softplus"),
    unary_op("Softsign"),
    unary_op("Shrink"),
    unary_op("Erf"),
    unary_op("Abs"),
    unary_op("Neg"),
    unary_op("Sign"),
    unary_op("Sqrt"),
    unary_op("Exp"),
    unary_op("Sin"),
    unary_op("Cos"),
    unary_op("Tan"),
    unary_op("Asin"),
    unary_op("Atan"),
    unary_op("Sinh"),
    unary_op("Cosh"),
    unary_op("Asinh"),
    unary_op("Floor"),
    unary_op("Ceil"),
    unary_op("Round"),
    unary_op("Not"),
    unary_op("BitwiseNot"),
    unary_op("IsNaN"),
    unary_op("IsInf"),
    unary_op("Identity"),
    unary_op("Cast"),
    unary_op("Clip"),
    op("CastLike", unary, None, Policy::Follow, ""),
    op("Dropout", dropout, None, Policy::Follow, "inference form"),
    op(
        "Log",
        infinite_at_zero,
        None,
        Policy::Follow,
        "prunes; does not grow, its value at zero is not finite",
    ),
    op(
        "Reciprocal",
        infinite_at_zero,
        None,
        Policy::Follow,
        "prunes; does not grow, its value at zero is not finite",
    ),
    op("Acos", unary, None, Policy::Follow, ""),
    op(
        "Acosh",
        infinite_at_zero,
        None,
        Policy::Follow,
        "prunes; does not grow, its value at zero is not finite",
    ),
    op("Atanh", unary, None, Policy::Follow, ""),
    broadcast_op("Add"),
    broadcast_op("Sub"),
    broadcast_op("Mul"),
    op(
        "Div",
        div,
        None,
        Policy::Follow,
        "grows where the divisor is a constant (a new one is 1)",
    ),
    op(
        "Mod",
        div,
        None,
        Policy::Follow,
        "grows where the divisor is a constant (a new one is 1)",
    ),
    op(
        "Pow",
        pow,
        None,
        Policy::Follow,
        "grows where the exponent is a constant (a new one is 1)",
    ),
    broadcast_op("Min"),
    broadcast_op("Max"),
    broadcast_op("Mean"),
    broadcast_op("Sum"),
    broadcast_op("Where"),
    broadcast_op("PRelu"),
    broadcast_op("Equal"),
    broadcast_op("Greater"),
    broadcast_op("GreaterOrEqual"),
    broadcast_op("Less"),
    broadcast_op("LessOrEqual"),
    broadcast_op("And"),
    broadcast_op("Or"),
    broadcast_op("Xor"),
    broadcast_op("BitwiseAnd"),
    broadcast_op("BitwiseOr"),
    broadcast_op("BitwiseXor"),
];

/// The first input and the output are alike in every axis.
pub(super) fn unary(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    (0..c.rank(y)).try_for_each(|axis| c.same(x, axis, y, axis))
}

fn dropout(c: &mut DependencyBuilder) -> RuleResult {
    unary(c)?;
    if c.node.output.get(1).is_some_and(|o| !o.is_empty()) {
        let (x, mask) = (c.input(0)?, c.output(1)?);
        (0..c.rank(x)).try_for_each(|axis| c.same(x, axis, mask, axis))?;
    }
    Ok(())
}

fn infinite_at_zero(c: &mut DependencyBuilder) -> RuleResult {
    unary(c)?;
    forbid_all(c, "its value at zero is not finite")
}

fn forbid_all(c: &mut DependencyBuilder, reason: &str) -> RuleResult {
    let y = c.output(0)?;
    (0..c.rank(y)).for_each(|axis| c.forbid_growth(y, axis, reason));
    Ok(())
}

/// Aligns one input with the output from the last axis on.
fn align(c: &mut DependencyBuilder, x: ValueId, y: ValueId) -> RuleResult {
    let (rx, ry) = (c.rank(x), c.rank(y));
    if rx > ry {
        return Err("its shapes do not fit".to_owned());
    }
    for axis in 0..rx {
        let out_axis = ry - rx + axis;
        if c.dims(x)[axis] == c.dims(y)[out_axis] {
            c.same(x, axis, y, out_axis)?;
        } else {
            c.lock_silent(x, axis);
        }
    }
    Ok(())
}

fn broadcast(c: &mut DependencyBuilder) -> RuleResult {
    let y = c.output(0)?;
    if c.opset < 7 && c.node.int("broadcast", 0) != 0 {
        return legacy_broadcast(c, y);
    }
    for i in 0..c.node.input.len() {
        if c.has_input(i) {
            let x = c.input(i)?;
            align(c, x, y)?;
        }
    }
    Ok(())
}

/// Before opset 7, `axis` says where the second operand's first axis stands.
fn legacy_broadcast(c: &mut DependencyBuilder, y: ValueId) -> RuleResult {
    let (a, b) = (c.input(0)?, c.input(1)?);
    align(c, a, y)?;
    let (rb, ry) = (c.rank(b), c.rank(y));
    let first = match c.node.attr("axis").and_then(|a| a.i) {
        Some(axis) => c.axis(axis, ry)?,
        None => ry - rb.min(ry),
    };
    for axis in 0..rb {
        let matches = c.dims(y).get(first + axis) == c.dims(b).get(axis);
        if matches {
            c.same(b, axis, y, first + axis)?;
        } else {
            c.lock_silent(b, axis);
        }
    }
    Ok(())
}

fn div(c: &mut DependencyBuilder) -> RuleResult {
    broadcast(c)?;
    one_or_forbid(c, "a new divisor would be zero")
}

fn pow(c: &mut DependencyBuilder) -> RuleResult {
    broadcast(c)?;
    let exponents = c
        .node
        .input
        .get(1)
        .and_then(|n| c.graph.constant(n))
        .and_then(|t| t.to_f32());
    match exponents {
        Some(e) if e.iter().all(|&v| v > 0.0) => one_or_forbid(c, ""),
        _ => forbid_all(c, "a power of zero may not be finite"),
    }
}

/// A constant second operand takes 1 where it grows; any other keeps the axes from growing.
fn one_or_forbid(c: &mut DependencyBuilder, reason: &str) -> RuleResult {
    let b = c.input(1)?;
    if c.co.value(b).constant_use.is_some() {
        c.fill(b, 1.0);
        Ok(())
    } else {
        forbid_all(c, reason)
    }
}
