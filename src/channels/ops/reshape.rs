//! `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`: axes merge and split.
//!
//! Input and output shapes are cut into the fewest stretches of equal size, and each stretch into
//! common factors. One factor of a stretch carries the channels: its indices stand for whole blocks
//! of elements on both sides, and every other factor keeps its size. So a channel taken before
//! `Flatten` takes its whole block, and a channel shuffle changes equally in every group.

use super::super::constant_channels;
use super::super::context::{DependencyBuilder, RuleResult};
use super::super::dependency_graph::{DependencyGraph, ValueId};
use super::super::moments::arrange;
use super::super::patch::Patch;
use super::super::symbolic_shapes::Dim;
use super::super::zeros;
use super::axis_factors::{AxisFactor, Stretch, block, factors, stretches};
use super::spec::{OpSpec, Policy, op};
use crate::Result;
use crate::onnx::{Attributes, Tensor};

pub(super) const OPS: &[OpSpec] = &[
    op(
        "Reshape",
        reshape,
        Some(patch_reshape),
        Policy::Follow,
        "merges and splits axes; channel shuffles, exported group norms",
    )
    .moments(arrange::reshaped)
    .zeros(zeros::as_first),
    op(
        "Flatten",
        fixed_rule,
        None,
        Policy::Follow,
        "a channel goes with its whole block",
    )
    .moments(arrange::reshaped)
    .zeros(zeros::as_first)
    .folding(constant_channels::flatten),
    op("Squeeze", fixed_rule, None, Policy::Follow, "")
        .moments(arrange::reshaped)
        .zeros(zeros::as_first),
    op("Unsqueeze", fixed_rule, None, Policy::Follow, "")
        .moments(arrange::reshaped)
        .zeros(zeros::as_first),
];

/// Relates two values that hold the same elements in the same order.
fn relate(c: &mut DependencyBuilder, x: ValueId, y: ValueId) -> RuleResult {
    let (dx, dy) = (c.dims(x), c.dims(y));
    if dx == dy {
        return (0..dx.len()).try_for_each(|axis| c.same(x, axis, y, axis));
    }
    // A batch of one is a batch all the same.
    if dx.first() == Some(&1) && dy.first() == Some(&1) {
        c.same(x, 0, y, 0)?;
    }
    let all = stretches(&dx, &dy).ok_or("its shapes do not fit")?;
    for stretch in &all {
        if let ([a], [b]) = (&stretch.ins[..], &stretch.outs[..]) {
            c.same(x, *a, y, *b)?;
            continue;
        }
        let Some(parts) = factors(stretch, &dx, &dy) else {
            hold(c, x, y, stretch, "Reshape mixes this axis with others");
            continue;
        };
        let whole = |f: &AxisFactor| usize::from(dx[f.in_axis] == f.size) + usize::from(dy[f.out_axis] == f.size);
        let carrier = (0..parts.len())
            .filter(|&f| parts[f].size > 1 && !c.co.axis_locked(x, parts[f].in_axis))
            .filter(|&f| whole(&parts[f]) > 0)
            .max_by_key(|&f| (parts[f].size, std::cmp::Reverse(f)));
        let Some(carrier) = carrier else {
            hold(c, x, y, stretch, "Reshape mixes this axis with others");
            continue;
        };
        let (in_axis, out_axis) = (parts[carrier].in_axis, parts[carrier].out_axis);
        for k in 0..parts[carrier].size {
            let ins = block(&parts, carrier, in_axis, |f| f.in_axis, k);
            let outs = block(&parts, carrier, out_axis, |f| f.out_axis, k);
            for &i in &ins {
                c.unify((x, in_axis, ins[0]), (x, in_axis, i))?;
            }
            for &o in &outs {
                c.unify((x, in_axis, ins[0]), (y, out_axis, o))?;
            }
        }
        let others = Stretch {
            ins: stretch.ins.iter().copied().filter(|&a| a != in_axis).collect(),
            outs: stretch.outs.iter().copied().filter(|&a| a != out_axis).collect(),
        };
        hold(c, x, y, &others, "Reshape keeps this axis while another changes");
    }
    Ok(())
}

fn hold(c: &mut DependencyBuilder, x: ValueId, y: ValueId, stretch: &Stretch, why: &str) {
    stretch.ins.iter().for_each(|&axis| c.constraint(x, axis, why));
    stretch.outs.iter().for_each(|&axis| c.constraint(y, axis, why));
}

/// The output's shape follows from the input's by a rule of the operator.
fn fixed_rule(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    relate(c, x, y)
}

fn reshape(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    relate(c, x, y)?;
    if c.node.attr("shape").is_some() || c.constant_ints(1).is_some() {
        return Ok(());
    }
    let rank = c.rank(y);
    let elements = c.shape(1).filter(|e| e.len() == rank);
    let elements = elements.ok_or("its target shape is computed; export with static shapes")?;
    let mut open = usize::from(elements.contains(&Dim::Fixed(-1)));
    for (axis, &element) in elements.iter().enumerate() {
        match element {
            Dim::Fixed(_) => {}
            Dim::Derived(_, id, at) => c.lock_unless_tied(x, &[(id, at)]),
            Dim::Of(id, at) if is_dynamic(c.co, id, at) => {
                open += usize::from(!c.co.same_extent((id, at), (x, axis)));
            }
            Dim::Of(id, at) if c.co.same_extent((id, at), (y, axis)) => {}
            other => {
                open += usize::from(other == Dim::Computed);
                c.constrain_dims(&[other]);
                if !c.co.axis_locked(y, axis) {
                    c.constraint(y, axis, "its extent is part of a computed shape");
                }
            }
        }
    }
    // A rebuilt target has one `-1` at most; with more unknown sizes the numbers must stay.
    if open > 1 {
        for (axis, &element) in elements.iter().enumerate() {
            let number = matches!(element, Dim::Fixed(v) | Dim::Derived(v, ..) if v > 0);
            if number && c.dims(y)[axis] > 1 {
                c.constraint(
                    y,
                    axis,
                    "its extent is written into a computed shape; export with static shapes",
                );
            }
        }
    }
    Ok(())
}

fn is_dynamic(co: &DependencyGraph, id: ValueId, axis: usize) -> bool {
    co.value(id).dynamic.contains(&axis)
}

fn patch_reshape(p: &mut Patch) -> Result<()> {
    let (Some(x), Some(y)) = (p.input(0), p.output(0)) else {
        return Ok(());
    };
    let rank = p.co.dims(y).len();
    let attribute = p.node.ints("shape");
    let constant = attribute.clone().or_else(|| p.constant_ints(1));
    let old: Vec<Dim> = match &constant {
        Some(values) => values.iter().map(|&v| Dim::Fixed(v)).collect(),
        None => match p.node.input.get(1).and_then(|n| p.shape.get(p.graph, n)) {
            Some(elements) => elements,
            None => return Ok(()),
        },
    };
    let mut changed = false;
    let mut target = Vec::with_capacity(rank);
    for (axis, element) in old.iter().enumerate().take(rank) {
        let width = p.remaps.dim(p.co, y, axis) as i64;
        target.push(match *element {
            Dim::Fixed(-1) => -1,
            Dim::Fixed(0) if p.node.int("allowzero", 0) == 0 => {
                let copied = p.co.dims(x).get(axis).map(|_| p.remaps.dim(p.co, x, axis) as i64);
                if copied == Some(width) {
                    0
                } else {
                    changed = true;
                    width
                }
            }
            Dim::Fixed(v) | Dim::Derived(v, ..) => {
                let moved = p.remaps.get(y, axis).is_some() && v != width;
                changed |= moved;
                if moved { width } else { v }
            }
            Dim::Of(id, at) if !is_dynamic(p.co, id, at) => p.remaps.dim(p.co, id, at) as i64,
            Dim::Of(id, at) if p.co.same_extent((id, at), (x, axis)) => 0,
            _ => -1,
        });
    }
    if !changed {
        return Ok(());
    }
    if attribute.is_some() {
        p.node.set_ints("shape", target);
    } else {
        p.replace(1, &Tensor::from_i64(&target));
    }
    Ok(())
}
