//! `GridSample`: every channel is read at the positions that a grid names.

use super::super::constant_channels;
use super::super::context::{DependencyBuilder, RuleResult};
use super::super::moments::arrange;
use super::spec::{OpSpec, Policy, op};

pub(super) const OPS: &[OpSpec] = &[op(
    "GridSample",
    grid_sample,
    None,
    Policy::Follow,
    "4-d and 5-d; holds the axes of its grid",
)
.moments(arrange::same)
.folding(constant_channels::zeros)];

fn grid_sample(c: &mut DependencyBuilder) -> RuleResult {
    let (x, grid, y) = (c.input(0)?, c.input(1)?, c.output(0)?);
    let rank = c.rank(x);
    if rank < 3 || c.rank(grid) != rank || c.rank(y) != rank {
        return Err("its ranks do not fit".to_owned());
    }
    c.same(x, 0, y, 0)?;
    c.same(grid, 0, y, 0)?;
    c.same(x, 1, y, 1)?;
    for axis in 2..rank {
        c.lock_silent(x, axis);
        c.lock_silent(y, axis);
    }
    for axis in 1..rank {
        c.constraint(grid, axis, "GridSample reads positions from this axis");
    }
    Ok(())
}
