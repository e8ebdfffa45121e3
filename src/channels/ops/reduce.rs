//! Reductions: the axes they run over are constrained, the others follow.

use super::super::context::{DependencyBuilder, RuleResult};
use super::super::dependency_graph::ValueId;
use super::super::moments::spatial;
use super::super::zeros;
use super::spec::{OpSpec, Policy, op};
use crate::onnx::Attributes;
use crate::onnx::proto::NodeProto;

const fn reduce_op(name: &'static str) -> OpSpec {
    op(name, reduce, None, Policy::Partial, "holds the axes it reduces")
}

/// A reduction of zeros that is zero.
const fn zero_op(name: &'static str) -> OpSpec {
    reduce_op(name).zeros(zeros::as_first)
}

pub(super) const OPS: &[OpSpec] = &[
    zero_op("ReduceMean").moments(spatial::reduce_mean),
    zero_op("ReduceSum").moments(spatial::reduce_sum),
    zero_op("ReduceMax").moments(spatial::reduce_max),
    zero_op("ReduceMin"),
    zero_op("ReduceProd"),
    zero_op("ReduceL1"),
    zero_op("ReduceL2"),
    reduce_op("ReduceLogSum"),
    reduce_op("ReduceLogSumExp"),
    zero_op("ReduceSumSquare"),
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
    op(
        "CumSum",
        cum_sum,
        None,
        Policy::Partial,
        "holds its axis; new channels at the end",
    )
    .zeros(zeros::running_sum),
];

/// What stands in the output for an axis that is reduced.
#[derive(Clone, Copy)]
enum Reduced {
    /// An axis.
    Kept,
    /// Nothing.
    Dropped,
}

impl Reduced {
    fn of(node: &NodeProto) -> Self {
        match node.int("keepdims", 1) {
            0 => Self::Dropped,
            _ => Self::Kept,
        }
    }
}

/// Fixes the `axes` of `x`; its others are those of `y`.
fn over(c: &mut DependencyBuilder, x: ValueId, y: ValueId, axes: &[usize], reduced: Reduced, why: &str) -> RuleResult {
    let mut out_axis = 0;
    for axis in 0..c.rank(x) {
        if axes.contains(&axis) {
            c.constraint(x, axis, why);
            out_axis += match reduced {
                Reduced::Kept => 1,
                Reduced::Dropped => 0,
            };
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
    let reduced = Reduced::of(c.node);
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
    over(c, x, y, &axes, reduced, "it is reduced over this axis")
}

fn arg(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    let axis = c.axis(c.node.int("axis", 0), c.rank(x))?;
    let reduced = Reduced::of(c.node);
    over(c, x, y, &[axis], reduced, "its result counts the channels of this axis")
}

/// Output axes are those of the input, but for the axis itself.
fn top_k(c: &mut DependencyBuilder) -> RuleResult {
    let x = c.input(0)?;
    let axis = c.axis(c.node.int("axis", -1), c.rank(x))?;
    for i in 0..c.node.output.len() {
        let y = c.output(i)?;
        over(
            c,
            x,
            y,
            &[axis],
            Reduced::Kept,
            "its result depends on the order of this axis",
        )?;
        c.constraint(y, axis, "its result depends on the order of this axis");
    }
    Ok(())
}

/// A running sum: zeros behind the last channel add nothing to the others, in either direction.
fn cum_sum(c: &mut DependencyBuilder) -> RuleResult {
    let x = c.input(0)?;
    let given = c.constant_ints(1).ok_or("its axis is computed")?;
    let axis = c.axis(*given.first().ok_or("no axis")?, c.rank(x))?;
    let reason = "each channel is the sum of those before it";
    super::elementwise::unary(c)?;
    if !c.grows_at_end(x, axis, reason) {
        c.constraint(x, axis, reason);
    }
    Ok(())
}
