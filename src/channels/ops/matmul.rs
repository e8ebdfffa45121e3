//! Products: `Gemm` and `MatMul`, by weights or by another activation.

use super::super::context::{DependencyBuilder, RuleResult};
use super::super::moments::linear;
use super::super::zeros;
use super::quantize;
use super::spec::{OpSpec, Policy, op};
use crate::onnx::Attributes;
use crate::ops::LinearSpec;

pub(super) const OPS: &[OpSpec] = &[
    op("Gemm", gemm, None, Policy::Layer, "either operand transposed")
        .moments(linear::mixed)
        .zeros(zeros::by_parameters),
    op(
        "MatMul",
        matmul,
        None,
        Policy::Layer,
        "any rank; weights on either side",
    )
    .moments(linear::mixed)
    .zeros(zeros::matmul),
];

pub(super) fn gemm(c: &mut DependencyBuilder) -> RuleResult {
    let spec = LinearSpec::of(c.node).ok_or("it is no product")?;
    let (a, b, y) = (c.input(0)?, c.input(spec.weight)?, c.output(0)?);
    let (ta, tb) = (c.node.int("transA", 0) != 0, c.node.int("transB", 0) != 0);
    let (m, ka) = if ta { (1, 0) } else { (0, 1) };
    let (kb, n) = if tb { (1, 0) } else { (0, 1) };
    c.same(a, m, y, 0)?;
    c.same(b, n, y, 1)?;
    c.same(a, ka, b, kb)?;
    quantize::parameters(c, b, n)?;
    if !c.is_weight(spec.weight) && !c.is_weight(0) {
        c.forbid_growth(a, ka, "both operands are activations");
    }
    c.role(a, ka, false);
    c.role(y, 1, true);
    if let Some(bias) = spec.bias().filter(|&i| c.has_input(i)) {
        let bias = c.input(bias)?;
        let (rank, dims) = (c.rank(bias), c.dims(bias));
        for (axis, &dim) in dims.iter().enumerate() {
            let out_axis = 2 - rank + axis;
            if dim == c.dims(y)[out_axis] {
                c.same(bias, axis, y, out_axis)?;
            } else {
                c.lock_silent(bias, axis);
            }
        }
    }
    Ok(())
}

pub(super) fn matmul(c: &mut DependencyBuilder) -> RuleResult {
    let spec = LinearSpec::of(c.node).ok_or("it is no product")?;
    let (a, b, y) = (c.input(0)?, c.input(spec.weight)?, c.output(0)?);
    let (ra, rb, ry) = (c.rank(a), c.rank(b), c.rank(y));
    if ra < 2 || rb < 2 {
        return Err("a vector operand is not followed".to_owned());
    }
    if ry < ra.max(rb) {
        return Err("its shapes do not fit".to_owned());
    }
    c.same(a, ra - 1, b, rb - 2)?;
    c.same(a, ra - 2, y, ry - 2)?;
    c.same(b, rb - 1, y, ry - 1)?;
    quantize::parameters(c, b, rb - 1)?;
    if let Some(bias) = spec.bias().filter(|&i| c.has_input(i)) {
        let bias = c.input(bias)?;
        c.same(bias, 0, y, ry - 1)?;
    }
    for (id, rank) in [(a, ra), (b, rb)] {
        for axis in 0..rank - 2 {
            let out_axis = ry - rank + axis;
            if c.dims(id)[axis] == c.dims(y)[out_axis] {
                c.same(id, axis, y, out_axis)?;
            } else {
                c.lock_silent(id, axis);
            }
        }
    }
    let (left, right) = (c.is_weight(0), c.is_weight(spec.weight));
    if !left && !right {
        c.forbid_growth(a, ra - 1, "both operands are activations");
    }
    if left {
        c.role(b, rb - 2, false);
        c.role(y, ry - 2, true);
    } else {
        c.role(a, ra - 1, false);
        c.role(y, ry - 1, true);
    }
    Ok(())
}
