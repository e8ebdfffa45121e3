//! `QuantizeLinear` and `DequantizeLinear`: scales per tensor, or per index of one axis.

use super::super::context::{DependencyBuilder, RuleResult};
use super::super::moments::arrange;
use super::spec::{OpSpec, Policy, op};
use crate::onnx::Attributes;

pub(super) const OPS: &[OpSpec] = &[
    op(
        "QuantizeLinear",
        quantize,
        None,
        Policy::Follow,
        "per tensor and per channel",
    )
    .moments(arrange::same),
    op(
        "DequantizeLinear",
        quantize,
        None,
        Policy::Follow,
        "per tensor and per channel",
    )
    .moments(arrange::same),
];

fn quantize(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    if c.node.int("block_size", 0) != 0 {
        return Err("blocked quantization is not followed".to_owned());
    }
    let rank = c.rank(x);
    (0..rank).try_for_each(|axis| c.same(x, axis, y, axis))?;
    let shifted = c.has_input(2)
        && c.node
            .input
            .get(2)
            .and_then(|n| c.graph.constant(n))
            .and_then(|t| t.to_i64())
            .is_none_or(|z| z.iter().any(|&v| v != 0));
    if shifted && c.is_weight(0) {
        for axis in 0..rank {
            c.forbid_growth(x, axis, "a new weight of zero would need its zero point");
        }
    }
    for i in 1..3 {
        if !c.has_input(i) {
            continue;
        }
        let parameter = c.input(i)?;
        if c.dims(parameter).iter().product::<usize>() > 1 {
            let axis = c.axis(c.node.int("axis", 1), rank)?;
            c.same(parameter, 0, x, axis)?;
        }
        if i == 1 {
            c.fill(parameter, 1.0);
        }
    }
    Ok(())
}
