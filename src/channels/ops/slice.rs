//! `Split` and `Slice`: outputs are stretches of the input's axis.

use super::super::context::{DependencyBuilder, RuleResult};
use super::super::dependency_graph::ValueId;
use super::super::moments::arrange;
use super::super::patch::Patch;
use super::super::symbolic_shapes::Dim;
use super::super::zeros;
use super::spec::{OpSpec, Policy, op};
use crate::onnx::Attributes;
use crate::onnx::Tensor;
use crate::{Error, Result};

pub(super) const OPS: &[OpSpec] = &[
    op(
        "Split",
        split,
        Some(patch_split),
        Policy::Follow,
        "each part keeps its own widths",
    )
    .moments_of_each(arrange::split),
    op(
        "Slice",
        slice,
        Some(patch_slice),
        Policy::Follow,
        "constant bounds, step 1 on a changing axis",
    )
    .moments(arrange::sliced)
    .zeros(zeros::as_first),
];

/// Relates `axis` of `y` to the stretch of `x` that starts at `start`.
fn stretch(c: &mut DependencyBuilder, x: ValueId, y: ValueId, axis: usize, start: usize) -> RuleResult {
    for k in 0..c.dims(y)[axis] {
        c.unify((x, axis, start + k), (y, axis, k))?;
    }
    Ok(())
}

fn split(c: &mut DependencyBuilder) -> RuleResult {
    let x = c.input(0)?;
    let axis = c.axis(c.node.int("axis", 0), c.rank(x))?;
    if c.has_input(1) && c.settled_ints(1).is_none() {
        return Err("its sizes are computed; export with static shapes to free it".to_owned());
    }
    if let Some((_, from)) = c.settled_ints(1) {
        c.lock_unless_tied(x, &from);
    }
    let mut start = 0;
    for i in 0..c.node.output.len() {
        let y = c.output(i)?;
        if c.rank(y) != c.rank(x) || start + c.dims(y)[axis] > c.dims(x)[axis] {
            return Err("its shapes do not fit".to_owned());
        }
        for other in (0..c.rank(x)).filter(|&a| a != axis) {
            c.same(x, other, y, other)?;
        }
        stretch(c, x, y, axis, start)?;
        start += c.dims(y)[axis];
    }
    Ok(())
}

/// From this opset on `Split` takes its sizes as an input.
const SIZES_ARE_INPUT: i64 = 13;

fn patch_split(p: &mut Patch) -> Result<()> {
    let Some(x) = p.input(0) else {
        return Ok(());
    };
    let axis = p.axis(0, p.co.dims(x).len());
    if p.remaps.get(x, axis).is_none() {
        return Ok(());
    }
    let parts: Vec<_> = (0..p.node.output.len())
        .filter_map(|i| p.output(i))
        .flat_map(|y| p.order(y, axis))
        .collect();
    p.line_up(&parts, &p.order(x, axis))?;
    let sizes: Vec<i64> = (0..p.node.output.len())
        .filter_map(|i| p.output(i))
        .map(|y| p.remaps.dim(p.co, y, axis) as i64)
        .collect();
    let equal = sizes.windows(2).all(|w| w[0] == w[1]);
    if p.node.input.get(1).is_some_and(|n| !n.is_empty()) {
        p.replace_ints(1, &sizes);
    } else if p.node.attr("split").is_some() || (p.opset < SIZES_ARE_INPUT && !equal) {
        // What the older versions may leave out where all parts are equal.
        p.node.set_ints("split", sizes);
    } else if !equal || p.node.attr("num_outputs").is_some() {
        p.node.attribute.retain(|a| a.name() != "num_outputs");
        p.replace(1, &Tensor::from_i64(&sizes));
    }
    Ok(())
}

/// One axis of a slice: bounds are clamped as the operator does for a positive step.
struct SlicedRange {
    axis: usize,
    start: usize,
    end: usize,
    step: i64,
}

/// Where the bounds stand in an old (attributes) or new (inputs) slice.
fn bounds(
    node: &crate::onnx::proto::NodeProto,
    ints: &dyn Fn(usize) -> Option<Vec<i64>>,
    dims: &[usize],
) -> Option<Vec<SlicedRange>> {
    let old = node.attr("starts").is_some();
    let read = |k: usize, name: &str| if old { node.ints(name) } else { ints(k) };
    let (starts, ends) = (read(1, "starts")?, read(2, "ends")?);
    let present = |k: usize| node.input.get(k).is_some_and(|n| !n.is_empty());
    let axes = if old {
        node.ints("axes")
    } else if present(3) {
        Some(ints(3)?)
    } else {
        None
    };
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = if present(4) { ints(4)? } else { vec![1; starts.len()] };
    let rank = dims.len() as i64;
    let mut out = Vec::new();
    for (k, &axis) in axes.iter().enumerate() {
        let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?;
        let dim = *dims.get(axis)? as i64;
        let clamp = |v: i64| (if v < 0 { v.saturating_add(dim) } else { v }).clamp(0, dim) as usize;
        out.push(SlicedRange {
            axis,
            start: clamp(*starts.get(k)?),
            end: clamp(*ends.get(k)?),
            step: *steps.get(k)?,
        });
    }
    Some(out)
}

fn slice(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    let (dx, dy) = (c.dims(x), c.dims(y));
    if dx.len() != dy.len() {
        return Err(format!("its shapes do not fit ({dx:?} and {dy:?})"));
    }
    let found = bounds(c.node, &|k| Some(c.settled_ints(k)?.0), &dx);
    if found.is_some() {
        let from: Vec<_> = (1..5)
            .filter_map(|k| c.settled_ints(k))
            .flat_map(|(_, from)| from)
            .collect();
        c.lock_unless_tied(x, &from);
    } else {
        let read: Vec<Dim> = (1..5).filter_map(|k| c.shape(k)).flatten().collect();
        c.constrain_dims(&read);
    }
    for axis in 0..dx.len() {
        match &found {
            Some(all) => match all.iter().find(|s| s.axis == axis) {
                None => c.same(x, axis, y, axis)?,
                Some(s) if s.step == 1 && s.end.saturating_sub(s.start) == dy[axis] => {
                    stretch(c, x, y, axis, s.start)?;
                }
                Some(_) => {
                    c.constraint(x, axis, "Slice steps over this axis");
                    c.constraint(y, axis, "Slice steps over this axis");
                }
            },
            None if dx[axis] == dy[axis] && sliced_axes(c).is_some_and(|a| !a.contains(&axis)) => {
                c.same(x, axis, y, axis)?;
            }
            None => {
                c.constraint(x, axis, "Slice bounds are computed");
                c.constraint(y, axis, "Slice bounds are computed");
            }
        }
    }
    Ok(())
}

/// The axes that a slice with computed bounds cuts, when those are constant.
fn sliced_axes(c: &DependencyBuilder) -> Option<Vec<usize>> {
    let rank = c.rank(c.input(0).ok()?);
    c.constant_ints(3)?.into_iter().map(|a| c.axis(a, rank).ok()).collect()
}

/// Whether an axis that changes may be one of those that are sliced.
fn sliced_unknown(p: &Patch, x: ValueId) -> bool {
    let rank = p.co.dims(x).len() as i64;
    match p.constant_ints(3) {
        Some(axes) => axes
            .iter()
            .filter_map(|&a| usize::try_from(if a < 0 { a + rank } else { a }).ok())
            .any(|axis| p.remaps.get(x, axis).is_some()),
        None => true,
    }
}

fn patch_slice(p: &mut Patch) -> Result<()> {
    let Some(x) = p.input(0) else {
        return Ok(());
    };
    let dims = p.co.dims(x).to_vec();
    let touched = (0..dims.len()).any(|axis| p.remaps.get(x, axis).is_some());
    let Some(found) = bounds(p.node, &|k| p.settled_ints(k), &dims) else {
        return match touched && sliced_unknown(p, x) {
            true => Err(Error::Plan(format!(
                "the bounds of {} are computed",
                crate::onnx::label(p.node, p.index)
            ))),
            false => Ok(()),
        };
    };
    if !found.iter().any(|s| p.remaps.get(x, s.axis).is_some()) {
        return Ok(());
    }
    let old = p.node.attr("starts").is_some();
    let read =
        |p: &Patch, k: usize, name: &str| if old { p.node.ints(name) } else { p.settled_ints(k) }.unwrap_or_default();
    let (mut starts, mut ends) = (read(p, 1, "starts"), read(p, 2, "ends"));
    for (k, s) in found.iter().enumerate() {
        if let Some(remap) = p.remaps.get(x, s.axis) {
            if let Some(y) = p.output(0) {
                p.line_up(&p.order_in(x, s.axis, s.start, s.end), &p.order(y, s.axis))?;
            }
            let (first, past) = remap.stretch(s.start, s.end).ok_or_else(|| {
                let node = crate::onnx::label(p.node, p.index);
                Error::Plan(format!("the channels that {node} takes would not lie side by side"))
            })?;
            starts[k] = first as i64;
            ends[k] = past as i64;
        }
    }
    if old {
        p.node.set_ints("starts", starts);
        p.node.set_ints("ends", ends);
    } else {
        p.replace_ints(1, &starts);
        p.replace_ints(2, &ends);
    }
    Ok(())
}
