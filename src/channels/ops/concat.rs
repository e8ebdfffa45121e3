//! `Concat`: on its axis the parts follow one another; on all others they are one.

use super::super::constant_channels;
use super::super::context::{DependencyBuilder, RuleResult};
use super::super::dependency_graph::ValueId;
use super::super::moments::arrange;
use super::super::patch::Patch;
use super::super::zeros;
use super::spec::{OpSpec, Policy, op};
use crate::Result;
use crate::onnx::Attributes;
use crate::onnx::proto::NodeProto;

pub(super) const OPS: &[OpSpec] = &[op(
    "Concat",
    concat,
    Some(check_concat),
    Policy::Follow,
    "each part keeps its own widths",
)
.moments(arrange::joined)
.zeros(zeros::as_parts)
.folding(constant_channels::concat)];

fn concat(c: &mut DependencyBuilder) -> RuleResult {
    join(c, &(0..c.node.input.len()).collect::<Vec<_>>())
}

/// Behind scale and zero point of the output, each part with its own two.
pub(super) fn quantized(c: &mut DependencyBuilder) -> RuleResult {
    join(c, &quantized_parts(c.node))
}

fn quantized_parts(node: &NodeProto) -> Vec<usize> {
    (2..node.input.len()).step_by(3).collect()
}

fn join(c: &mut DependencyBuilder, parts: &[usize]) -> RuleResult {
    let y = c.output(0)?;
    let rank = c.rank(y);
    let axis = c.axis(c.node.int("axis", 1), rank)?;
    let mut offset = 0;
    for &i in parts {
        let x = c.input(i)?;
        if c.rank(x) != rank {
            return Err("its ranks differ".to_owned());
        }
        for other in (0..rank).filter(|&a| a != axis) {
            c.same(x, other, y, other)?;
        }
        let dim = c.dims(x)[axis];
        if offset + dim > c.dims(y)[axis] {
            return Err("its shapes do not fit".to_owned());
        }
        for k in 0..dim {
            c.unify((x, axis, k), (y, axis, offset + k))?;
        }
        offset += dim;
    }
    Ok(())
}

fn check_concat(p: &mut Patch) -> Result<()> {
    check_joined(p, &(0..p.node.input.len()).collect::<Vec<_>>())
}

pub(super) fn check_quantized(p: &mut Patch) -> Result<()> {
    check_joined(p, &quantized_parts(p.node))
}

/// The parts' new orders, one behind the other, must be the output's.
fn check_joined(p: &mut Patch, parts: &[usize]) -> Result<()> {
    let Some(y) = p.output(0) else {
        return Ok(());
    };
    let axis = p.axis(1, p.co.dims(y).len());
    let inputs: Vec<ValueId> = parts.iter().filter_map(|&i| p.input(i)).collect();
    if inputs.iter().chain([&y]).all(|&id| p.remaps.get(id, axis).is_none()) {
        return Ok(());
    }
    let parts: Vec<_> = inputs.into_iter().flat_map(|id| p.order(id, axis)).collect();
    p.line_up(&parts, &p.order(y, axis))
}
