//! `Pad`: the input stands in the middle; the padded ends are channels of their own.

use super::super::context::{DependencyBuilder, RuleResult};
use super::super::moments::arrange;
use super::super::patch::Patch;
use super::spec::{OpSpec, Policy, op};
use crate::Result;
use crate::onnx::Attributes;

pub(super) const OPS: &[OpSpec] = &[op(
    "Pad",
    pad,
    Some(patch_pad),
    Policy::Follow,
    "on channels in constant mode (option-A shortcuts)",
)
.moments(arrange::same)];

/// Begin and end of each axis, in elements.
fn pads(
    node: &crate::onnx::proto::NodeProto,
    ints: &dyn Fn(usize) -> Option<Vec<i64>>,
    rank: usize,
) -> Option<Vec<(i64, i64)>> {
    let values = node
        .ints("pads")
        .or_else(|| node.ints("paddings"))
        .or_else(|| ints(1))?;
    let present = node.input.get(3).is_some_and(|n| !n.is_empty());
    let axes: Vec<i64> = if present { ints(3)? } else { (0..rank as i64).collect() };
    let mut out = vec![(0, 0); rank];
    for (k, &axis) in axes.iter().enumerate() {
        let axis = usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok()?;
        *out.get_mut(axis)? = (*values.get(k)?, *values.get(k + axes.len())?);
    }
    Some(out)
}

fn pad(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    let dx = c.dims(x);
    let pads = pads(c.node, &|k| c.constant_ints(k), dx.len()).ok_or("its pads are computed")?;
    let constant = c.node.text("mode", "constant") == "constant";
    for (axis, &(begin, end)) in pads.iter().enumerate() {
        if (begin, end) == (0, 0) {
            c.same(x, axis, y, axis)?;
        } else if constant && begin >= 0 && end >= 0 && c.co.axis_locked(x, axis) {
            c.lock_silent(y, axis);
        } else if constant && begin >= 0 && end >= 0 {
            for k in 0..dx[axis] {
                c.unify((x, axis, k), (y, axis, begin as usize + k))?;
            }
        } else {
            c.constraint(x, axis, "Pad mirrors or crops this axis");
            c.constraint(y, axis, "Pad mirrors or crops this axis");
        }
    }
    Ok(())
}

fn patch_pad(p: &mut Patch) -> Result<()> {
    let (Some(x), Some(y)) = (p.input(0), p.output(0)) else {
        return Ok(());
    };
    let dims = p.co.dims(x).to_vec();
    let Some(old) = pads(p.node, &|k| p.constant_ints(k), dims.len()) else {
        return Ok(());
    };
    let mut new = old.clone();
    for (axis, &(begin, _)) in old.iter().enumerate() {
        if let Some(remap) = p.remaps.get(y, axis) {
            let (first, last) = (begin.max(0) as usize, begin.max(0) as usize + dims[axis]);
            let ends = (
                p.order_in(y, axis, 0, first),
                p.order_in(y, axis, last, p.co.dims(y)[axis]),
            );
            let whole = [ends.0, p.order(x, axis), ends.1].concat();
            p.line_up(&whole, &p.order(y, axis))?;
            new[axis] = (
                remap.count_in(0, first) as i64,
                remap.count_in(last, p.co.dims(y)[axis]) as i64,
            );
        }
    }
    if new == old {
        return Ok(());
    }
    let values: Vec<i64> = new.iter().map(|p| p.0).chain(new.iter().map(|p| p.1)).collect();
    for name in ["pads", "paddings"] {
        if p.node.attr(name).is_some() {
            p.node.set_ints(name, values);
            return Ok(());
        }
    }
    if p.node.input.get(3).is_some_and(|n| !n.is_empty()) {
        let axes: Vec<i64> = (0..dims.len() as i64).collect();
        p.replace_ints(3, &axes);
    }
    p.replace_ints(1, &values);
    Ok(())
}
