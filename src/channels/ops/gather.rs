//! `Gather` with constant indices: any choice and order of an axis' elements.

use super::super::context::{DependencyBuilder, RuleResult};
use super::super::index_remap::IndexSource;
use super::super::patch::Patch;
use super::spec::{OpSpec, Policy, op};
use crate::onnx::{Attributes, Dtype, Tensor};
use crate::{Error, Result};

pub(super) const OPS: &[OpSpec] = &[op(
    "Gather",
    gather,
    Some(patch_gather),
    Policy::Follow,
    "constant indices; computed ones hold the axis",
)];

fn wrap(index: i64, dim: usize) -> Option<usize> {
    let index = if index < 0 { index + dim as i64 } else { index };
    usize::try_from(index).ok().filter(|&i| i < dim)
}

fn gather(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y) = (c.input(0)?, c.output(0)?);
    let (dx, dy) = (c.dims(x), c.dims(y));
    let axis = c.axis(c.node.int("axis", 0), dx.len())?;
    let index_rank = (dy.len() + 1).checked_sub(dx.len()).ok_or("its shapes do not fit")?;
    for other in (0..dx.len()).filter(|&a| a != axis) {
        let out_axis = if other < axis { other } else { other + index_rank - 1 };
        c.same(x, other, y, out_axis)?;
    }
    let indices = c
        .node
        .input
        .get(1)
        .and_then(|n| c.graph.constant(n))
        .and_then(|t| t.to_i64());
    let picked: Option<Vec<usize>> = indices.and_then(|all| all.into_iter().map(|i| wrap(i, dx[axis])).collect());
    match (index_rank, picked) {
        (1, Some(picked)) => {
            for (k, i) in picked.into_iter().enumerate() {
                c.unify((x, axis, i), (y, axis, k))?;
            }
            Ok(())
        }
        (0, Some(_)) => {
            c.constraint(x, axis, "Gather takes one index of this axis");
            Ok(())
        }
        _ => {
            c.constraint(x, axis, "Gather's indices are computed");
            for out_axis in axis..axis + index_rank {
                c.constraint(y, out_axis, "Gather's indices are computed");
            }
            Ok(())
        }
    }
}

fn patch_gather(p: &mut Patch) -> Result<()> {
    let (Some(x), Some(y)) = (p.input(0), p.output(0)) else {
        return Ok(());
    };
    let axis = p.axis(0, p.co.dims(x).len());
    let Some(edit_in) = p.remaps.get(x, axis) else {
        return Ok(());
    };
    let old = p.node.input.get(1).and_then(|n| p.graph.constant(n));
    let Some((indices, dtype)) = old.and_then(|t| Some((t.to_i64()?, t.dtype))) else {
        return Ok(());
    };
    let dim = p.co.dims(x)[axis];
    let all: Vec<IndexSource> = match p.remaps.get(y, axis) {
        Some(remap) => remap.sources.clone(),
        None => (0..indices.len()).map(|old| IndexSource { old, copy: None }).collect(),
    };
    let picked: Option<Vec<i64>> = all
        .iter()
        .map(|s| {
            let old = wrap(indices[s.old], dim)?;
            let copy = s.copy;
            edit_in.position(IndexSource { old, copy }).map(|i| i as i64)
        })
        .collect();
    let picked = picked.ok_or_else(|| Error::Plan("a gathered channel was removed".to_owned()))?;
    let mut tensor = Tensor::from_i64(&picked);
    if dtype == Dtype::Int32 {
        tensor.dtype = dtype;
        tensor.bytes = picked.iter().flat_map(|&v| (v as i32).to_le_bytes()).collect();
    }
    p.replace(1, &tensor);
    Ok(())
}
