//! `Resize`, `Upsample`, `Expand` and `Tile`: an axis keeps its size, or is constrained.

use super::super::constant_channels;
use super::super::context::{DependencyBuilder, RuleResult};
use super::super::dependency_graph::{DependencyGraph, ValueId};
use super::super::moments::arrange;
use super::super::patch::Patch;
use super::super::symbolic_shapes::{Dim, settled};
use super::super::zeros;
use super::spec::{OpSpec, Policy, op};
use crate::Result;
use crate::onnx::Attributes;

pub(super) const OPS: &[OpSpec] = &[
    op(
        "Resize",
        resize,
        Some(patch_resize),
        Policy::Follow,
        "channels keep scale 1",
    )
    .moments(arrange::same)
    .zeros(zeros::as_first)
    .folding(constant_channels::same),
    op("Upsample", resize, None, Policy::Follow, "channels keep scale 1")
        .moments(arrange::same)
        .zeros(zeros::as_first),
    op(
        "Expand",
        expand,
        Some(patch_expand),
        Policy::Follow,
        "axes that keep their extent",
    )
    .zeros(zeros::as_first),
    op(
        "Tile",
        tile,
        None,
        Policy::Partial,
        "axes repeated once follow, the others are held",
    )
    .zeros(zeros::as_first),
];

fn resize(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    if c.rank(x) != c.rank(y) {
        return Err("its ranks differ".to_owned());
    }
    if c.node.text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize" {
        return Err("it crops".to_owned());
    }
    let (dx, dy) = (c.dims(x), c.dims(y));
    for axis in 0..dx.len() {
        if dx[axis] == dy[axis] {
            c.same(x, axis, y, axis)?;
        } else {
            c.lock_silent(x, axis);
            c.lock_silent(y, axis);
        }
    }
    sizes_follow(c, 3, dx.len())
}

/// The sizes at input `i` must be rewritable: settled, or the sizes of axes that stay equal.
fn sizes_follow(c: &mut DependencyBuilder, i: usize, rank: usize) -> RuleResult {
    if !c.has_input(i) {
        return Ok(());
    }
    let (x, y) = (c.input(0)?, c.output(0)?);
    if let Some((_, from)) = c.settled_ints(i) {
        c.lock_unless_tied(x, &from);
        return Ok(());
    }
    let elements = c.shape(i).filter(|e| e.len() == rank);
    let elements = elements.ok_or("its sizes are computed")?;
    for (axis, element) in elements.into_iter().enumerate() {
        let follows = matches!(element, Dim::Of(id, at) if c.co.same_extent((id, at), (y, axis)));
        if !follows && !c.co.axis_locked(y, axis) {
            c.constrain_dims(&[element]);
            c.constraint(y, axis, "its extent is part of a computed shape");
        }
    }
    Ok(())
}

fn patch_resize(p: &mut Patch) -> Result<()> {
    patch_sizes(p, 3)
}

/// Puts the new sizes of changed axes into the constant at input `i`.
fn patch_sizes(p: &mut Patch, i: usize) -> Result<()> {
    let (Some(mut sizes), Some(y)) = (p.settled_ints(i), p.output(0)) else {
        return Ok(());
    };
    let axes = p.node.ints("axes").unwrap_or_else(|| (0..sizes.len() as i64).collect());
    let rank = p.co.dims(y).len();
    let before = sizes.clone();
    for (k, axis) in axes.into_iter().enumerate() {
        let axis = if axis < 0 { axis + rank as i64 } else { axis } as usize;
        if let Some(remap) = p.remaps.get(y, axis)
            && k < sizes.len()
        {
            sizes[k] = remap.len() as i64;
        }
    }
    if sizes != before {
        p.replace_ints(i, &sizes);
    }
    Ok(())
}

fn expand(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    let (dx, dy) = (c.dims(x), c.dims(y));
    let shift = dy.len() - dx.len().min(dy.len());
    for axis in 0..dy.len() {
        if axis >= shift && dx[axis - shift] == dy[axis] {
            c.same(x, axis - shift, y, axis)?;
        } else {
            c.constraint(y, axis, "Expand repeats along this axis");
            if axis >= shift {
                c.lock_silent(x, axis - shift);
            }
        }
    }
    let elements = c.shape(1).filter(|e| e.len() == dy.len());
    let elements = elements.ok_or("its shape is computed")?;
    let number = |(axis, e): (usize, &Dim)| !matches!(e, Dim::Of(..) | Dim::Computed) && !c.co.axis_locked(y, axis);
    let numbers = elements.iter().enumerate().any(number);
    if !numbers || broadcast_shape(c.co, x, &elements).is_none() {
        return sizes_follow(c, 1, dy.len());
    }
    let from = elements.iter().filter_map(|e| settled(e, c.co)?.1);
    c.lock_unless_tied(x, &from.collect::<Vec<_>>());
    Ok(())
}

/// A target as numbers: those that hold whatever the inputs are, and 1 for the sizes that `x` has already; `None` where others
/// depend on the inputs.
fn broadcast_shape(co: &DependencyGraph, x: ValueId, elements: &[Dim]) -> Option<Vec<i64>> {
    let shift = elements.len().checked_sub(co.dims(x).len())?;
    let number = |(axis, element): (usize, &Dim)| match *element {
        Dim::Of(id, at) if axis >= shift && co.value(id).dynamic.contains(&at) => {
            let own = axis - shift;
            let has_it = co.value(x).dynamic.contains(&own) && co.same_extent((id, at), (x, own));
            has_it.then_some(1)
        }
        _ => settled(element, co).map(|(value, _)| value),
    };
    elements.iter().enumerate().map(number).collect()
}

fn patch_expand(p: &mut Patch) -> Result<()> {
    let (Some(x), Some(y), Some(target)) = (p.input(0), p.output(0), p.node.input.get(1)) else {
        return Ok(());
    };
    let elements = p.shape.get(p.graph, target);
    let Some(mut shape) = elements.and_then(|e| broadcast_shape(p.co, x, &e)) else {
        return Ok(());
    };
    let before = shape.clone();
    for (axis, dim) in shape.iter_mut().enumerate() {
        if let Some(remap) = p.remaps.get(y, axis)
            && *dim != 1
        {
            *dim = remap.len() as i64;
        }
    }
    if shape != before {
        p.replace_ints(1, &shape);
    }
    Ok(())
}

fn tile(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    let (dx, dy) = (c.dims(x), c.dims(y));
    if dx.len() != dy.len() {
        return Err(format!("its shapes do not fit ({dx:?} and {dy:?})"));
    }
    for axis in 0..dx.len() {
        if dx[axis] == dy[axis] {
            c.same(x, axis, y, axis)?;
        } else {
            c.constraint(x, axis, "Tile repeats along this axis");
            c.constraint(y, axis, "Tile repeats along this axis");
        }
    }
    Ok(())
}
