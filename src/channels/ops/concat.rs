//! `Concat`: on its axis the parts follow one another; on all others they are one.

use super::{Couple, OpSpec, Outcome, Policy, op};
use crate::onnx::Attributes;

pub(super) const OPS: &[OpSpec] = &[op(
    "Concat",
    concat,
    None,
    Policy::Follow,
    "each part keeps its own widths",
)];

fn concat(c: &mut Couple) -> Outcome {
    let y = c.output(0)?;
    let rank = c.rank(y);
    let axis = c.axis(c.node.int("axis", 1), rank)?;
    let mut offset = 0;
    for i in 0..c.node.input.len() {
        let x = c.input(i)?;
        if c.rank(x) != rank {
            return Err("its ranks differ".to_owned());
        }
        for other in (0..rank).filter(|&a| a != axis) {
            c.same(x, other, y, other)?;
        }
        let extent = c.dims(x)[axis];
        if offset + extent > c.dims(y)[axis] {
            return Err("its shapes do not fit".to_owned());
        }
        for k in 0..extent {
            c.unify((x, axis, k), (y, axis, offset + k));
        }
        offset += extent;
    }
    Ok(())
}
