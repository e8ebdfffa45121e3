//! Operators on single elements: activations, arithmetic with broadcasting, casts.

use super::super::constant_channels;
use super::super::context::{DependencyBuilder, RuleResult};
use super::super::dependency_graph::ValueId;
use super::super::moments::{arrange, pointwise};
use super::super::zeros;
use super::spec::{BlockedLayout, FusedActivation, OpSpec, Policy, Sign, op};
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph};
use crate::ops::scalar;

const fn unary_op(name: &'static str) -> OpSpec {
    op(name, unary, None, Policy::Follow, "")
}

/// An activation: one element from one, defined for every number.
const fn activation(name: &'static str) -> OpSpec {
    unary_op(name).pointwise()
}

const fn infinite_op(name: &'static str) -> OpSpec {
    op(
        name,
        unary,
        None,
        Policy::Follow,
        "prunes; does not grow, its value at zero is not finite",
    )
    .infinite_at_zero()
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
    activation("Relu")
        .layout(BlockedLayout::Fused)
        .fused(FusedActivation::Plain)
        .sign(Sign::NonNegative)
        .scalar(scalar::relu)
        .folds(),
    activation("LeakyRelu")
        .layout(BlockedLayout::Fused)
        .fused(FusedActivation::Alpha(0.01))
        .scalar_of(scalar::leaky_relu)
        .folds(),
    unary_op("ThresholdedRelu").scalar_of(scalar::thresholded_relu),
    activation("Elu").scalar_of(scalar::elu),
    unary_op("Celu").scalar_of(scalar::celu),
    activation("Selu").scalar_of(scalar::selu),
    activation("Sigmoid")
        .layout(BlockedLayout::Fused)
        .fused(FusedActivation::Plain)
        .sign(Sign::NonNegative)
        .scalar(scalar::sigmoid)
        .folds(),
    activation("HardSigmoid")
        .sign(Sign::NonNegative)
        .scalar_of(scalar::hard_sigmoid),
    activation("HardSwish").scalar(scalar::hard_swish).folds(),
    unary_op("Swish").scalar_of(scalar::swish),
    activation("Mish").scalar(scalar::mish),
    activation("Gelu").scalar_of(scalar::gelu),
    activation("Tanh")
        .layout(BlockedLayout::Fused)
        .fused(FusedActivation::Plain)
        .scalar(f64::tanh),
    activation("Softplus").sign(Sign::NonNegative).scalar(scalar::softplus),
    activation("Softsign").scalar(scalar::softsign),
    unary_op("Shrink").scalar_of(scalar::shrink),
    unary_op("Erf").scalar(scalar::erf),
    unary_op("Abs").scalar(f64::abs),
    unary_op("Neg").scalar(scalar::neg),
    unary_op("Sign").scalar(scalar::sign),
    unary_op("Sqrt").scalar(scalar::sqrt).finite_at_zero_only(),
    unary_op("Exp").scalar(f64::exp).finite_at_zero_only(),
    unary_op("Sin").scalar(f64::sin),
    unary_op("Cos").scalar(f64::cos),
    unary_op("Tan").finite_at_zero_only(),
    unary_op("Asin").finite_at_zero_only(),
    unary_op("Atan"),
    unary_op("Sinh").finite_at_zero_only(),
    unary_op("Cosh").finite_at_zero_only(),
    unary_op("Asinh"),
    unary_op("Floor").scalar(f64::floor),
    unary_op("Ceil").scalar(f64::ceil),
    unary_op("Round").scalar(f64::round),
    unary_op("Not"),
    unary_op("BitwiseNot"),
    unary_op("IsNaN"),
    unary_op("IsInf"),
    activation("Identity")
        .layout(BlockedLayout::Fused)
        .sign(Sign::AsInput)
        .moments(arrange::same)
        .zeros(zeros::as_first)
        .folding(constant_channels::same),
    unary_op("Cast").moments(arrange::same).zeros(zeros::as_first),
    activation("Clip")
        .layout(BlockedLayout::Fused)
        .fused(FusedActivation::Plain)
        .sign(Sign::OfNode(clips_negatives))
        .scalar_of(scalar::clip)
        .moments(pointwise::clipped)
        .folds(),
    unary_op("CastLike").zeros(zeros::as_first),
    op("Dropout", dropout, None, Policy::Follow, "inference form")
        .pointwise()
        .layout(BlockedLayout::Fused)
        .moments(arrange::same)
        .zeros(zeros::as_first)
        .folding(constant_channels::same),
    infinite_op("Log").scalar(scalar::ln),
    infinite_op("Reciprocal"),
    unary_op("Acos").finite_at_zero_only(),
    infinite_op("Acosh"),
    unary_op("Atanh").finite_at_zero_only(),
    broadcast_op("Add")
        .broadcasts()
        .moments(pointwise::add)
        .zeros(zeros::as_all)
        .folding(constant_channels::add),
    broadcast_op("Sub")
        .broadcasts()
        .moments(pointwise::sub)
        .zeros(zeros::as_all),
    broadcast_op("Mul")
        .broadcasts()
        .moments(pointwise::mul)
        .zeros(zeros::as_any)
        .folding(constant_channels::mul),
    op(
        "Div",
        div,
        None,
        Policy::Follow,
        "grows where the divisor is a constant (a new one is 1)",
    )
    .broadcasts()
    .moments(pointwise::div)
    .zeros(zeros::as_first),
    op(
        "Mod",
        div,
        None,
        Policy::Follow,
        "grows where the divisor is a constant (a new one is 1)",
    )
    .zeros(zeros::as_first),
    op(
        "Pow",
        pow,
        None,
        Policy::Follow,
        "grows where the exponent is a constant (a new one is 1)",
    )
    .finite_at_zero_only()
    .moments(pointwise::pow)
    .zeros(zeros::as_first),
    broadcast_op("Min")
        .broadcasts()
        .moments(pointwise::min)
        .zeros(zeros::as_all),
    broadcast_op("Max")
        .broadcasts()
        .moments(pointwise::max)
        .zeros(zeros::as_all),
    broadcast_op("Mean").moments(pointwise::mean).zeros(zeros::as_all),
    broadcast_op("Sum").moments(pointwise::add).zeros(zeros::as_all),
    broadcast_op("Where").broadcasts(),
    broadcast_op("PRelu")
        .pointwise()
        .moments(pointwise::prelu)
        .zeros(zeros::as_first),
    broadcast_op("Equal").broadcasts(),
    broadcast_op("Greater").broadcasts(),
    broadcast_op("GreaterOrEqual").broadcasts(),
    broadcast_op("Less").broadcasts(),
    broadcast_op("LessOrEqual").broadcasts(),
    broadcast_op("And").broadcasts(),
    broadcast_op("Or").broadcasts(),
    broadcast_op("Xor").broadcasts(),
    broadcast_op("BitwiseAnd").broadcasts(),
    broadcast_op("BitwiseOr").broadcasts(),
    broadcast_op("BitwiseXor").broadcasts(),
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

/// Whether the lower bound of a `Clip` is not negative.
fn clips_negatives(graph: &Graph, node: &NodeProto) -> bool {
    let input = node
        .input
        .get(1)
        .and_then(|n| graph.constant(n)?.to_f32()?.first().copied());
    input.unwrap_or_else(|| node.float("min", -1.0)) >= 0.0
}

/// Aligns one input with the output from the last axis on.
pub(super) fn align(c: &mut DependencyBuilder, x: ValueId, y: ValueId) -> RuleResult {
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
        _ => c.forbid_growth_of_output("a power of zero may not be finite"),
    }
}

/// A constant second operand takes 1 where it grows; any other keeps the axes from growing.
fn one_or_forbid(c: &mut DependencyBuilder, reason: &str) -> RuleResult {
    let b = c.input(1)?;
    if c.co.value(b).constant_use.is_some() {
        c.fill(b, 1.0);
        Ok(())
    } else {
        c.forbid_growth_of_output(reason)
    }
}
