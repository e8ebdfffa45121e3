//! Sums and means over axes, and the sums that undo broadcasts.

use super::super::tape::{Products, Tape};
use crate::onnx::Attributes;
use crate::onnx::proto::NodeProto;

/// `GlobalAveragePool`, `ReduceMean` and `ReduceSum`: every element of what was summed gets its share.
pub fn mean(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let x = tape.input_dims(node, 0)?;
    let rank = x.len() as i64;
    let all = || (0..rank).collect::<Vec<_>>();
    let axes: Vec<i64> = if node.op_type() == "GlobalAveragePool" {
        (2..rank).collect()
    } else {
        let given = tape.list(node, 1, "axes").filter(|axes| !axes.is_empty());
        let unknown = given.is_none() && node.input.get(1).is_some_and(|n| !n.is_empty());
        if unknown || (given.is_none() && node.int("noop_with_empty_axes", 0) != 0) {
            return None;
        }
        given.unwrap_or_else(all)
    };
    let axes: Vec<usize> = axes
        .iter()
        .map(|&a| usize::try_from(if a < 0 { a + rank } else { a }).ok())
        .collect::<Option<_>>()?;
    let mut kept: Vec<i64> = x.iter().map(|&d| d as i64).collect();
    let mut count = 1;
    for &axis in &axes {
        count *= *x.get(axis)?;
        *kept.get_mut(axis)? = 1;
    }
    let shares = tape.builder.reshape(dy, &kept);
    let extents: Vec<i64> = x.iter().map(|&d| d as i64).collect();
    let extents = tape.builder.ints(&extents);
    let spread = tape.builder.op("Expand", &[&shares, &extents], &[]);
    if node.op_type() == "ReduceSum" {
        return Some(vec![(0, spread)]);
    }
    let share = tape.scalar(1.0 / count.max(1) as f32);
    Some(vec![(0, tape.builder.op("Mul", &[&spread, &share], &[]))])
}

/// The sum over what a broadcast from `to` to `from` repeated.
pub fn unbroadcast(tape: &mut Tape, gradient: String, from: &[usize], to: &[usize]) -> Option<String> {
    if from == to {
        return Some(gradient);
    }
    let lead = from.len().checked_sub(to.len())?;
    let repeated = |axis: usize| axis < lead || (to[axis - lead] == 1 && from[axis] != 1);
    let axes: Vec<i64> = (0..from.len()).filter(|&a| repeated(a)).map(|a| a as i64).collect();
    let axes = tape.builder.ints(&axes);
    let sum = tape.builder.op("ReduceSum", &[&gradient, &axes], &[("keepdims", &[1])]);
    let extents: Vec<i64> = to.iter().map(|&d| d as i64).collect();
    Some(tape.builder.reshape(&sum, &extents))
}
