//! `QuantizeLinear`, `DequantizeLinear` and `DynamicQuantizeLinear`: scales per tensor, per index of one axis, or per block of it.

use super::super::context::{DependencyBuilder, RuleResult};
use super::super::dependency_graph::ValueId;
use super::super::moments::arrange;
use super::spec::{OpSpec, Policy, Sign, op};
use crate::onnx::proto::NodeProto;
use crate::onnx::{Dtype, Graph};
use crate::ops::{Granularity, LinearSpec};

const fn by_scales(name: &'static str) -> OpSpec {
    op(
        name,
        quantize,
        None,
        Policy::Follow,
        "per tensor, per channel and in blocks",
    )
    .moments(arrange::same)
}

pub(super) const OPS: &[OpSpec] = &[
    by_scales("QuantizeLinear"),
    by_scales("DequantizeLinear").sign(Sign::OfNode(from_least)),
    op(
        "DynamicQuantizeLinear",
        at_run_time,
        None,
        Policy::Partial,
        "its range is that of all channels: they stay, new ones are zero",
    ),
];

/// The same in ONNX Runtime's domain, where they know more types.
pub(super) const MICROSOFT: &[OpSpec] = &[
    by_scales("QuantizeLinear"),
    by_scales("DequantizeLinear").sign(Sign::OfNode(from_least)),
];

/// Whether no number of the type is less than the zero point, and no scale less than nothing.
fn from_least(graph: &Graph, node: &NodeProto) -> bool {
    let parameter = |i: usize| graph.stored(node.input.get(i)?);
    let scales = parameter(1).and_then(|t| t.to_f32());
    let least = |zero: crate::onnx::Tensor| {
        let least = match zero.dtype {
            Dtype::Uint8 | Dtype::Uint16 => 0.0,
            Dtype::Int8 => f64::from(i8::MIN),
            Dtype::Int16 => f64::from(i16::MIN),
            _ => return false,
        };
        zero.numbers().is_some_and(|n| n.iter().all(|&z| z <= least))
    };
    scales.is_some_and(|s| s.iter().all(|&s| s >= 0.0)) && parameter(2).is_some_and(least)
}

fn quantize(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    (0..c.rank(x)).try_for_each(|axis| c.same(x, axis, y, axis))?;
    for i in (1..3).filter(|&i| c.has_input(i)).collect::<Vec<_>>() {
        let parameter = c.input(i)?;
        let granularity = Granularity::of(c.node, &c.dims(x), &c.dims(parameter));
        let granularity = granularity.ok_or("its scales do not fit")?;
        along(c, parameter, x, granularity)?;
        if i == 1 {
            // ONNX Runtime fuses no layer whose bias has other scales than the product of its input's and its weights'.
            c.repeat(parameter);
        } else if c.is_weight(0) {
            c.zero_points(x, 2, granularity)?;
        }
    }
    Ok(())
}

/// Scales and zero points change with the axes that they go along.
fn along(c: &mut DependencyBuilder, parameter: ValueId, x: ValueId, granularity: Granularity) -> RuleResult {
    match granularity {
        Granularity::Tensor => Ok(()),
        Granularity::Channel(axis) => c.same(parameter, 0, x, axis),
        Granularity::Blocks { axis, size } => {
            for other in (0..c.rank(x)).filter(|&a| a != axis) {
                c.same(parameter, other, x, other)?;
            }
            let indices = c.dims(x)[axis];
            if !indices.is_multiple_of(size) {
                c.constraint(x, axis, "its scales are of blocks, the last of which is not full");
                return Ok(());
            }
            (0..indices).try_for_each(|i| c.unify((parameter, axis, i / size), (x, axis, i)))
        }
    }
}

/// Scales and zero points of the weights `w` go along its axis `axis`, where there is one for each of its indices.
pub(super) fn parameters(c: &mut DependencyBuilder, w: ValueId, axis: usize) -> RuleResult {
    let inputs = LinearSpec::of(c.node).and_then(|s| s.quantized);
    let Some(inputs) = inputs else {
        return Ok(());
    };
    let dims = c.dims(w);
    let fitting = |c: &DependencyBuilder, i: usize| {
        let parameter = c.input(i)?;
        let granularity = Granularity::along(axis, &dims, &c.dims(parameter));
        Ok::<_, String>((parameter, granularity.ok_or("its scales do not fit")?))
    };
    if let Some(i) = inputs.scale.filter(|&i| c.has_input(i)) {
        let (scale, granularity) = fitting(c, i)?;
        along(c, scale, w, granularity)?;
        c.repeat(scale);
    }
    if c.has_input(inputs.weight_zero_point) {
        let (zero, granularity) = fitting(c, inputs.weight_zero_point)?;
        along(c, zero, w, granularity)?;
        c.zero_points(w, inputs.weight_zero_point, granularity)?;
    }
    Ok(())
}

fn at_run_time(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    (0..c.rank(x)).try_for_each(|axis| c.same(x, axis, y, axis))?;
    c.grows_by_zeros(x, RANGE);
    Ok(())
}

/// Why channels stay in front of what is quantized at run time.
pub(super) const RANGE: &str = "all channels make the range that they are quantized by";
