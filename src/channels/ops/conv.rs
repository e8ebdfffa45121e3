//! Convolutions: plain, depthwise (with multiplier), grouped, transposed; one to three dimensions.

use super::super::constant_channels;
use super::super::context::{DependencyBuilder, RuleResult};
use super::super::dependency_graph::ValueId;
use super::super::moments::linear;
use super::super::patch::Patch;
use super::super::zeros;
use super::quantize;
use super::spec::{OpSpec, Policy, op};
use crate::Result;
use crate::onnx::Attributes;
use crate::onnx::proto::NodeProto;
use crate::ops::{ConvSpec, Direction, LinearKind, LinearSpec, groups};

pub(super) const OPS: &[OpSpec] = &[
    op(
        "Conv",
        conv,
        Some(patch_groups),
        Policy::Layer,
        "1-d to 3-d; depthwise with multiplier; grouped: the same places in every group; over channels (ECA): they stay, new ones at the end",
    )
    .moments(linear::mixed)
    .zeros(zeros::by_parameters)
    .folding(constant_channels::conv),
    op(
        "ConvTranspose",
        conv_transpose,
        Some(patch_groups),
        Policy::Layer,
        "also grouped and depthwise",
    )
    .moments(linear::mixed)
    .zeros(zeros::by_parameters),
];

struct Parts {
    x: ValueId,
    w: ValueId,
    y: ValueId,
    groups: usize,
}

fn parts(c: &mut DependencyBuilder) -> Result<Parts, String> {
    let weight = LinearSpec::of(c.node).map_or(1, |s| s.weight);
    let (x, w, y) = (c.input(0)?, c.input(weight)?, c.output(0)?);
    let groups = groups(c.node).ok_or("its group count is not positive")?;
    let (dx, dw, dy) = (c.dims(x), c.dims(w), c.dims(y));
    if dx.len() < 3 || dw.len() != dx.len() || dy.len() != dx.len() {
        return Err("its ranks do not fit".to_owned());
    }
    if dx[1] % groups != 0 || dy[1] % groups != 0 {
        return Err(format!(
            "{groups} groups do not divide {} and {} channels",
            dx[1], dy[1]
        ));
    }
    c.same(x, 0, y, 0)?;
    for axis in 2..dx.len() {
        c.lock_silent(w, axis);
        if keeps_places(c.node, axis, &dx, &dw) && c.grows_at_end(x, axis, "each channel is mixed with its neighbours")
        {
            c.same(x, axis, y, axis)?;
        } else {
            c.lock_silent(x, axis);
            c.lock_silent(y, axis);
        }
    }
    if !c.is_weight(weight) {
        for (id, axis) in [(x, 1), (y, 1)] {
            c.forbid_growth(id, axis, "the weights are computed in the graph");
        }
    }
    c.role(x, 1, false);
    c.role(y, 1, true);
    Ok(Parts { x, w, y, groups })
}

/// Whether a convolution of one channel makes one output for each index of an axis, however many there are, with zeros around them.
fn keeps_places(node: &NodeProto, axis: usize, x: &[usize], w: &[usize]) -> bool {
    let spatial = axis - 2;
    let spec = || ConvSpec::of(node, &w[2..], Direction::Forward);
    LinearSpec::kind_of(node) == Some(LinearKind::Conv)
        && w[..2] == [1, 1]
        && spec().is_some_and(|s| s.strides[spatial] == 1 && s.output_size(spatial, x[axis]) == Some(x[axis]))
}

fn bias(c: &mut DependencyBuilder, y: ValueId) -> RuleResult {
    let input = LinearSpec::of(c.node).and_then(LinearSpec::bias);
    if let Some(input) = input.filter(|&i| c.has_input(i)) {
        let b = c.input(input)?;
        c.same(b, 0, y, 1)?;
    }
    Ok(())
}

pub(super) fn conv(c: &mut DependencyBuilder) -> RuleResult {
    let Parts { x, w, y, groups } = parts(c)?;
    let (cin, cout) = (c.dims(x)[1], c.dims(y)[1]);
    if c.dims(w)[0] != cout || c.dims(w)[1] != cin / groups {
        return Err("its weights do not fit its input".to_owned());
    }
    c.same(w, 0, y, 1)?;
    quantize::parameters(c, w, 0)?;
    if groups == 1 {
        c.same(w, 1, x, 1)?;
    } else if groups == cin {
        depthwise(c, x, y, cout / cin)?;
        c.lock_silent(w, 1);
    } else {
        let (per_in, per_out) = (cin / groups, cout / groups);
        for g in 0..groups {
            for i in 0..per_in {
                c.unify((w, 1, i), (x, 1, g * per_in + i))?;
            }
            for o in 0..per_out {
                c.unify((y, 1, o), (y, 1, g * per_out + o))?;
            }
        }
    }
    bias(c, y)
}

fn conv_transpose(c: &mut DependencyBuilder) -> RuleResult {
    let Parts { x, w, y, groups } = parts(c)?;
    let (cin, cout) = (c.dims(x)[1], c.dims(y)[1]);
    let (per_in, per_out) = (cin / groups, cout / groups);
    if c.dims(w)[0] != cin || c.dims(w)[1] != per_out {
        return Err("its weights do not fit its input".to_owned());
    }
    c.same(w, 0, x, 1)?;
    if groups == 1 {
        c.same(w, 1, y, 1)?;
    } else if groups == cin {
        depthwise(c, x, y, per_out)?;
        c.lock_silent(w, 1);
    } else {
        for g in 0..groups {
            for o in 0..per_out {
                c.unify((w, 1, o), (y, 1, g * per_out + o))?;
            }
            for i in 0..per_in {
                c.unify((x, 1, i), (x, 1, g * per_in + i))?;
            }
        }
    }
    bias(c, y)
}

fn depthwise(c: &mut DependencyBuilder, x: ValueId, y: ValueId, multiplier: usize) -> RuleResult {
    for i in 0..c.dims(x)[1] {
        for j in 0..multiplier {
            c.unify((x, 1, i), (y, 1, i * multiplier + j))?;
        }
    }
    Ok(())
}

/// A depthwise convolution has as many groups as channels, each with its outputs behind one another;
/// the groups of a grouped one hold the same channels in the same order.
pub(super) fn patch_groups(p: &mut Patch) -> Result<()> {
    let Some(spec) = LinearSpec::of(p.node) else {
        return Ok(());
    };
    let (Some(x), Some(w), Some(y)) = (p.input(0), p.input(spec.weight), p.output(0)) else {
        return Ok(());
    };
    let groups = groups(p.node).unwrap_or(1);
    if groups < 2 {
        return Ok(());
    }
    let cin = p.co.dims(x)[1];
    if groups == cin {
        let multiplier = p.co.dims(y)[1] / cin.max(1);
        let made: Vec<_> = p
            .order(x, 1)
            .into_iter()
            .flat_map(|c| std::iter::repeat_n(c, multiplier))
            .collect();
        p.line_up(&made, &p.order(y, 1))?;
        let width = p.remaps.dim(p.co, x, 1);
        p.node.set_int("group", width as i64);
        return Ok(());
    }
    // The axis of the weights that holds one group's channels, and the activation that holds them all.
    let all = match spec.kind {
        LinearKind::Conv => x,
        _ => y,
    };
    let one = p.order(w, 1);
    p.line_up(&one.repeat(groups), &p.order(all, 1))
}
