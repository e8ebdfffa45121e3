//! `Transpose`: axes change places.

use super::super::context::{DependencyBuilder, RuleResult};
use super::super::moments::arrange;
use super::super::zeros;
use super::spec::{OpSpec, Policy, op};
use crate::onnx::Attributes;

pub(super) const OPS: &[OpSpec] = &[op("Transpose", transpose, None, Policy::Follow, "")
    .moments(arrange::transposed)
    .zeros(zeros::as_first)];

fn transpose(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    let rank = c.rank(x);
    let order = c.node.ints("perm").unwrap_or_else(|| (0..rank as i64).rev().collect());
    if order.len() != rank || c.rank(y) != rank {
        return Err("its permutation does not fit".to_owned());
    }
    for (to, &from) in order.iter().enumerate() {
        let from = c.axis(from, rank)?;
        c.same(x, from, y, to)?;
    }
    Ok(())
}
