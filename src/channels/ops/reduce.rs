//! Reductions: the axes they run over are constrained, the others follow.

use super::super::context::{DependencyBuilder, RuleResult};
use super::super::dependency_graph::ValueId;
use super::super::moments::spatial;
use super::spec::{OpSpec, Policy, op};
use crate::onnx::Attributes;

const fn reduce_op(name: &'static str) -> OpSpec {
    op(name, reduce, None, Policy::Partial, "holds the axes it reduces")
}

pub(super) const OPS: &[OpSpec] = &[
    reduce_op("ReduceMean").moments(spatial::reduce_mean),
    reduce_op("ReduceSum").moments(spatial::reduce_sum),
    reduce_op("ReduceMax").moments(spatial::reduce_max),
    reduce_op("ReduceMin"),
    reduce_op("ReduceProd"),
    reduce_op("ReduceL1"),
    reduce_op("ReduceL2"),
    reduce_op("ReduceLogSum"),
    reduce_op("ReduceLogSumExp"),
    reduce_op("ReduceSumSquare"),
    op(
        "ArgMax",
        arg,
        None,
        Policy::Partial,
        "holds its axis: its result counts channels",
    ),
    op(
        "ArgMin",
        arg,
        None,
        Policy::Partial,
        "holds its axis: its result counts channels",
    ),
    op(
        "TopK",
        top_k,
        None,
        Policy::Partial,
        "holds its axis: its result counts channels",
    ),
    op("CumSum", top_k, None, Policy::Partial, "holds its axis"),
];

fn over(c: &mut DependencyBuilder, x: ValueId, y: ValueId, axes: &[usize], keep: bool, why: &str) -> RuleResult {
    let mut out_axis = 0;
    for axis in 0..c.rank(x) {
        if axes.contains(&axis) {
            c.constraint(x, axis, why);
            out_axis += usize::from(keep);
        } else {
            c.same(x, axis, y, out_axis)?;
            out_axis += 1;
        }
    }
    Ok(())
}

fn reduce(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    let rank = c.rank(x);
    let keep = c.node.int("keepdims", 1) != 0;
    let given = match c.node.ints("axes") {
        Some(axes) => axes,
        None if c.has_input(1) => c.constant_ints(1).ok_or("its axes are computed")?,
        None => vec![],
    };
    if given.is_empty() && c.node.int("noop_with_empty_axes", 0) != 0 {
        return super::elementwise::unary(c);
    }
    let axes: Vec<usize> = if given.is_empty() {
        (0..rank).collect()
    } else {
        given.into_iter().map(|a| c.axis(a, rank)).collect::<Result<_, _>>()?
    };
    if c.node.op_type() == "ReduceLogSum" {
        (0..rank).for_each(|axis| c.forbid_growth(x, axis, "the logarithm of a new channel's sum is not finite"));
    }
    over(c, x, y, &axes, keep, "it is reduced over this axis")
}

fn arg(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    let axis = c.axis(c.node.int("axis", 0), c.rank(x))?;
    let keep = c.node.int("keepdims", 1) != 0;
    over(c, x, y, &[axis], keep, "its result counts the channels of this axis")
}

/// Output axes are those of the input, but for the axis itself.
fn top_k(c: &mut DependencyBuilder) -> RuleResult {
    let x = c.input(0)?;
    let axis = match c.node.op_type() {
        "CumSum" => *c
            .constant_ints(1)
            .ok_or("its axis is computed")?
            .first()
            .ok_or("no axis")?,
        _ => c.node.int("axis", -1),
    };
    let axis = c.axis(axis, c.rank(x))?;
    for i in 0..c.node.output.len() {
        let y = c.output(i)?;
        over(c, x, y, &[axis], true, "its result depends on the order of this axis")?;
        c.constraint(y, axis, "its result depends on the order of this axis");
    }
    Ok(())
}
