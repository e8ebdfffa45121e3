//! Operators that move elements.

use super::super::tape::{Products, Tape};
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Tensor};

/// The same elements in other extents.
pub fn reshape(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let extents: Vec<i64> = tape.input_dims(node, 0)?.iter().map(|&d| d as i64).collect();
    Some(vec![(0, tape.builder.reshape(dy, &extents))])
}

/// Axes in another order.
pub fn transpose(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let rank = tape.input_dims(node, 0)?.len();
    let order = node.ints("perm").unwrap_or_else(|| (0..rank as i64).rev().collect());
    let mut back = vec![0; rank];
    for (to, &from) in order.iter().enumerate() {
        *back.get_mut(usize::try_from(from).ok()?)? = to as i64;
    }
    Some(vec![(0, tape.builder.op("Transpose", &[dy], &[("perm", &back)]))])
}

/// Each part gets its own run of the axis.
pub fn concat(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let rank = tape.dims.get(node.output.first()?)?.len() as i64;
    let axis = node.int("axis", 0);
    let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?;
    let on = tape.builder.ints(&[axis as i64]);
    let (mut found, mut at) = (Vec::new(), 0);
    for i in 0..node.input.len() {
        let rows = *tape.input_dims(node, i)?.get(axis)? as i64;
        if tape.wants(node, i) {
            let (from, to) = (tape.builder.ints(&[at]), tape.builder.ints(&[at + rows]));
            found.push((i, tape.builder.op("Slice", &[dy, &from, &to, &on], &[])));
        }
        at += rows;
    }
    Some(found)
}

/// Parts go back side by side; one that nothing needs is zero.
pub fn split(tape: &mut Tape, node: &NodeProto, of: &[Option<String>]) -> Option<Products> {
    let rank = tape.input_dims(node, 0)?.len() as i64;
    let axis = node.int("axis", 0);
    let axis = if axis < 0 { axis + rank } else { axis };
    let mut parts = Vec::new();
    for (output, gradient) in node.output.iter().zip(of) {
        parts.push(match gradient {
            Some(name) => name.clone(),
            None => {
                let dims = tape.dims.get(output)?.clone();
                let zeros = vec![0.0; dims.iter().product()];
                tape.builder.constant(&Tensor::from_f32(dims, &zeros))
            }
        });
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    Some(vec![(0, tape.builder.op("Concat", &parts, &[("axis", &[axis])]))])
}

/// What was padded with a constant is cut off.
pub fn pad(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let x = tape.input_dims(node, 0)?;
    let pads = tape.list(node, 1, "pads")?;
    let given = |i: usize| node.input.get(i).is_some_and(|n| !n.is_empty());
    if node.text("mode", "constant") != "constant"
        || given(3)
        || pads.len() != 2 * x.len()
        || pads.iter().any(|&p| p < 0)
    {
        return None;
    }
    let from: Vec<i64> = pads[..x.len()].to_vec();
    let to: Vec<i64> = from.iter().zip(&x).map(|(p, &d)| p + d as i64).collect();
    let axes: Vec<i64> = (0..x.len() as i64).collect();
    let [from, to, axes] = [from, to, axes].map(|list| tape.builder.ints(&list));
    Some(vec![(0, tape.builder.op("Slice", &[dy, &from, &to, &axes], &[]))])
}
