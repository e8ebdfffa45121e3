//! Operators that pick elements: a gradient goes back to where its element came from.

use std::collections::HashSet;

use super::super::tape::{Products, Tape};
use crate::onnx::Attributes;
use crate::onnx::proto::NodeProto;

/// `Gather` with stored indices, each at most once: the parts go back to their places, and zeros to all others.
pub fn gather(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let x = tape.input_dims(node, 0)?;
    let axis = node.int("axis", 0);
    let axis = usize::try_from(if axis < 0 { axis + x.len() as i64 } else { axis }).ok()?;
    let size = *x.get(axis)?;
    let mut indices = Vec::new();
    for index in tape.list(node, 1, "")? {
        let index = if index < 0 { index + size as i64 } else { index };
        indices.push(usize::try_from(index).ok().filter(|&i| i < size)?);
    }
    if indices.iter().collect::<HashSet<_>>().len() != indices.len() {
        return None;
    }
    // What no index names reads the zero behind the last part.
    let mut back = vec![indices.len() as i64; size];
    for (part, &index) in indices.iter().enumerate() {
        *back.get_mut(index)? = part as i64;
    }
    let mut extents: Vec<i64> = x.iter().map(|&d| d as i64).collect();
    *extents.get_mut(axis)? = indices.len() as i64;
    let mut parts = tape.builder.reshape(dy, &extents);
    if indices.len() < size {
        let mut pads = vec![0; 2 * x.len()];
        *pads.get_mut(x.len() + axis)? = 1;
        let pads = tape.builder.ints(&pads);
        parts = tape.builder.op("Pad", &[&parts, &pads], &[]);
    }
    let back = tape.builder.ints(&back);
    let axis = [axis as i64];
    Some(vec![(
        0,
        tape.builder.op("Gather", &[&parts, &back], &[("axis", &axis)]),
    )])
}

/// `MaxPool` with any windows: what each made goes to the element that it picked.
pub fn max_pool(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let x = tape.input_dims(node, 0)?;
    let elements: usize = x.iter().product();
    let (made, places) = (tape.builder.fresh("picked"), tape.builder.fresh("places"));
    let mut again = node.clone();
    again.name = Some(format!("{made}_node"));
    again.output = vec![made, places.clone()];
    // Places are counted row by row.
    again.attribute.retain(|a| a.name() != "storage_order");
    tape.builder.nodes.push(again);
    let places = tape.builder.reshape(&places, &[-1]);
    let parts = tape.builder.reshape(dy, &[-1]);
    let all = tape.builder.ints(&[elements as i64]);
    let zeros = tape.builder.op("ConstantOfShape", &[&all], &[]);
    let sums = tape.builder.op("ScatterElements", &[&zeros, &places, &parts], &[]);
    let node = tape.builder.nodes.last_mut()?;
    node.set_text("reduction", "add");
    let extents: Vec<i64> = x.iter().map(|&d| d as i64).collect();
    Some(vec![(0, tape.builder.reshape(&sums, &extents))])
}
