//! `DepthToSpace` (pixel shuffle) and `SpaceToDepth`: channels that stand for places.

use super::super::context::{DependencyBuilder, RuleResult};
use super::super::dependency_graph::ValueId;
use super::super::moments::arrange;
use super::super::zeros;
use super::spec::{OpSpec, Policy, op};
use crate::onnx::Attributes;

pub(super) const OPS: &[OpSpec] = &[
    op(
        "DepthToSpace",
        depth_to_space,
        None,
        Policy::Follow,
        "DCR and CRD: a channel goes with all its places",
    )
    .moments(arrange::same)
    .zeros(zeros::as_first),
    op(
        "SpaceToDepth",
        space_to_depth,
        None,
        Policy::Follow,
        "a channel goes with all its places",
    )
    .moments(arrange::same)
    .zeros(zeros::as_first),
];

fn parts(c: &mut DependencyBuilder) -> Result<(ValueId, ValueId, usize), String> {
    let (x, y) = (c.input(0)?, c.output(0)?);
    let block = usize::try_from(c.node.int("blocksize", 0)).ok().filter(|&b| b > 0);
    let block = block.ok_or("its block size is not positive")?;
    if c.rank(x) != 4 || c.rank(y) != 4 {
        return Err("its rank is not 4".to_owned());
    }
    c.same(x, 0, y, 0)?;
    for axis in 2..4 {
        c.lock_silent(x, axis);
        c.lock_silent(y, axis);
    }
    Ok((x, y, block * block))
}

fn depth_to_space(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y, places) = parts(c)?;
    let width = c.dims(y)[1];
    let columns_first = c.node.text("mode", "DCR") == "CRD";
    for channel in 0..width {
        for place in 0..places {
            let from = if columns_first {
                channel * places + place
            } else {
                place * width + channel
            };
            c.unify((x, 1, from), (y, 1, channel))?;
        }
    }
    Ok(())
}

fn space_to_depth(c: &mut DependencyBuilder) -> RuleResult {
    let (x, y, places) = parts(c)?;
    let width = c.dims(x)[1];
    for channel in 0..width {
        for place in 0..places {
            c.unify((x, 1, channel), (y, 1, place * width + channel))?;
        }
    }
    Ok(())
}
