//! Normalizations. Those with statistics per channel follow; those that mix channels constrain them.

use super::super::constant_channels;
use super::super::context::{DependencyBuilder, RuleResult};
use super::super::moments::normalize;
use super::super::patch::Patch;
use super::super::zeros;
use super::spec::{BlockedLayout, OpSpec, Policy, op};
use crate::Result;
use crate::onnx::Attributes;

pub(super) const OPS: &[OpSpec] = &[
    op(
        "BatchNormalization",
        batch,
        None,
        Policy::Follow,
        "unfused, inference form; a new channel has variance 1",
    )
    .pointwise()
    .layout(BlockedLayout::Fused)
    .moments(normalize::by_channel_axis)
    .zeros(zeros::by_parameters)
    .folding(constant_channels::batch_norm),
    op(
        "InstanceNormalization",
        instance,
        None,
        Policy::Follow,
        "statistics per channel",
    )
    .moments(normalize::by_channel_axis)
    .zeros(zeros::by_parameters),
    op(
        "GroupNormalization",
        group,
        Some(patch_group),
        Policy::Follow,
        "whole groups come and go: a group's statistics count all its channels",
    )
    .moments(normalize::by_channel_axis),
    op(
        "LayerNormalization",
        layer,
        None,
        Policy::Partial,
        "holds the normalized axes: their statistics count every channel",
    )
    .moments(normalize::by_last_axes),
    op(
        "RMSNormalization",
        layer,
        None,
        Policy::Partial,
        "holds the normalized axes: their statistics count every channel",
    )
    .moments(normalize::by_last_axes),
    op(
        "LRN",
        lrn,
        None,
        Policy::Partial,
        "holds the channels, each is divided by its neighbours; new ones at the end",
    )
    .moments(normalize::responded)
    .zeros(zeros::as_first),
    op(
        "MeanVarianceNormalization",
        mean_variance,
        None,
        Policy::Partial,
        "holds the normalized axes",
    )
    .moments(normalize::without_parameters),
    op(
        "LpNormalization",
        lp,
        None,
        Policy::Partial,
        "holds the normalized axis",
    ),
    op(
        "Softmax",
        softmax,
        None,
        Policy::Partial,
        "holds its axis: every channel counts in the sum",
    )
    .moments(normalize::shares),
    op(
        "LogSoftmax",
        softmax,
        None,
        Policy::Partial,
        "holds its axis: every channel counts in the sum",
    ),
    op("Hardmax", softmax, None, Policy::Partial, "holds its axis"),
];

fn batch(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    if c.node.int("training_mode", 0) != 0 || c.node.output.iter().skip(1).any(|o| !o.is_empty()) {
        return Err("training form; export for inference to free it".to_owned());
    }
    whole(c, x, y)?;
    for i in 1..5 {
        let parameter = c.input(i)?;
        c.same(parameter, 0, x, 1)?;
        if i == 4 {
            c.fill(parameter, 1.0);
        }
    }
    Ok(())
}

/// Every axis of input and output is one.
fn whole(
    c: &mut DependencyBuilder,
    x: super::super::dependency_graph::ValueId,
    y: super::super::dependency_graph::ValueId,
) -> RuleResult {
    (0..c.rank(x)).try_for_each(|axis| c.same(x, axis, y, axis))
}

fn instance(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    c.same(x, 0, y, 0)?;
    c.same(x, 1, y, 1)?;
    for axis in 2..c.rank(x) {
        c.lock_silent(x, axis);
        c.lock_silent(y, axis);
    }
    for i in 1..3 {
        let parameter = c.input(i)?;
        c.same(parameter, 0, x, 1)?;
    }
    Ok(())
}

fn group(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    let groups = usize::try_from(c.node.int("num_groups", 0)).unwrap_or(0);
    let width = c.dims(x).get(1).copied().unwrap_or(0);
    if groups == 0 || width % groups != 0 {
        return Err(format!("{groups} groups do not divide {width} channels"));
    }
    whole(c, x, y)?;
    for axis in 2..c.rank(x) {
        c.lock_silent(x, axis);
    }
    let size = width / groups;
    for g in 0..groups {
        for j in 1..size {
            c.unify((x, 1, g * size), (x, 1, g * size + j))?;
        }
    }
    for i in 1..3 {
        let parameter = c.input(i)?;
        match c.dims(parameter)[..] {
            [n] if n == width => c.same(parameter, 0, x, 1)?,
            [n] if n == groups => {
                (0..groups).try_for_each(|g| c.unify((parameter, 0, g), (x, 1, g * size)))?;
            }
            _ => return Err("its scale does not fit its input".to_owned()),
        }
    }
    Ok(())
}

fn patch_group(p: &mut Patch) -> Result<()> {
    let Some(x) = p.input(0) else {
        return Ok(());
    };
    let groups = p.node.int("num_groups", 1).max(1);
    let width = p.co.dims(x)[1] as i64;
    let size = (width / groups).max(1);
    let wider = p.remaps.dim(p.co, x, 1) as i64;
    p.node.set_int("num_groups", wider / size);
    Ok(())
}

const ZERO_BY_ZERO: &str = "it would divide the zeros of a new channel by zero";
const COUNTS_ALL: &str = "its statistics count every channel of this axis";

fn layer(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    let first = c.axis(c.node.int("axis", -1), c.rank(x))?;
    whole(c, x, y)?;
    for axis in first..c.rank(x) {
        c.constraint(x, axis, COUNTS_ALL);
    }
    Ok(())
}

fn lrn(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    whole(c, x, y)?;
    let reason = "each channel is divided by its neighbours";
    // The divisor (bias + alpha · sum of squares)^beta of a channel among zeros.
    let divides = c.node.float("bias", 1.0) > 0.0 && c.node.float("alpha", 1e-4) >= 0.0;
    if !(divides && c.grows_at_end(x, 1, reason)) {
        c.constraint(x, 1, reason);
    }
    Ok(())
}

fn mean_variance(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    whole(c, x, y)?;
    for axis in c.node.ints("axes").unwrap_or_else(|| vec![0, 2, 3]) {
        let axis = c.axis(axis, c.rank(x))?;
        c.constraint(x, axis, COUNTS_ALL);
    }
    (0..c.rank(x)).for_each(|axis| c.forbid_growth(x, axis, ZERO_BY_ZERO));
    Ok(())
}

fn lp(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    whole(c, x, y)?;
    let axis = c.axis(c.node.int("axis", -1), c.rank(x))?;
    c.constraint(x, axis, COUNTS_ALL);
    (0..c.rank(x)).for_each(|axis| c.forbid_growth(x, axis, ZERO_BY_ZERO));
    Ok(())
}

/// Before opset 13 every axis from `axis` on is one long axis.
fn softmax(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    whole(c, x, y)?;
    let old = c.opset < 13;
    let axis = c.axis(c.node.int("axis", if old { 1 } else { -1 }), c.rank(x))?;
    let last = if old { c.rank(x) } else { axis + 1 };
    for axis in axis..last {
        c.constraint(x, axis, "every channel counts in its sum");
    }
    Ok(())
}
