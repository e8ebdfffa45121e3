//! Parts of a value: what was left out gets zeros.

use super::super::tape::{Products, Tape};
use crate::onnx::proto::NodeProto;

/// `Slice` with stored bounds and steps of 1 or more.
pub fn slice(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let (x, y) = (tape.input_dims(node, 0)?, tape.dims.get(node.output.first()?)?.clone());
    let starts = tape.list(node, 1, "starts")?;
    let rank = x.len();
    let count = starts.len() as i64;
    let given = |i: usize| node.input.get(i).is_some_and(|n| !n.is_empty());
    let axes = match tape.list(node, 3, "axes") {
        Some(axes) => axes,
        None if given(3) => return None,
        None => (0..count).collect(),
    };
    let steps = match tape.list(node, 4, "steps") {
        Some(steps) => steps,
        None if given(4) => return None,
        None => vec![1; starts.len()],
    };
    if axes.len() != starts.len() || steps.len() != starts.len() {
        return None;
    }
    let (mut gradient, mut dims) = (dy.to_owned(), y);
    for ((&axis, &start), &step) in axes.iter().zip(&starts).zip(&steps) {
        let axis = usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok()?;
        let (size, step) = (*x.get(axis)?, usize::try_from(step).ok().filter(|&s| s > 0)?);
        let start = if start < 0 { start + size as i64 } else { start };
        let start = usize::try_from(start.max(0)).ok()?.min(size);
        let kept = *dims.get(axis)?;
        if kept == 0 {
            return None;
        }
        if step > 1 {
            gradient = spaced(tape, &gradient, &dims, axis, step);
            dims[axis] = kept * step;
        }
        // Behind the last element that was kept, the spaces may reach beyond the end.
        let end = size as i64 - (start + dims[axis]) as i64;
        let mut pads = vec![0; 2 * rank];
        pads[axis] = start as i64;
        pads[rank + axis] = end;
        if pads.iter().any(|&p| p != 0) {
            let pads = tape.builder.ints(&pads);
            gradient = tape.builder.op("Pad", &[&gradient, &pads], &[]);
        }
        dims[axis] = size;
    }
    (dims == x).then(|| vec![(0, gradient)])
}

/// Each element of an axis with `step - 1` zeros behind it.
fn spaced(tape: &mut Tape, value: &str, dims: &[usize], axis: usize, step: usize) -> String {
    let extents = |own: usize, behind: Option<i64>| -> Vec<i64> {
        let own = dims
            .iter()
            .enumerate()
            .map(|(a, &d)| if a == axis { own as i64 } else { d as i64 });
        let mut list: Vec<i64> = own.collect();
        if let Some(n) = behind {
            list.insert(axis + 1, n);
        }
        list
    };
    let apart = tape.builder.reshape(value, &extents(dims[axis], Some(1)));
    let mut pads = vec![0; 2 * (dims.len() + 1)];
    pads[dims.len() + 1 + axis + 1] = step as i64 - 1;
    let pads = tape.builder.ints(&pads);
    let wide = tape.builder.op("Pad", &[&apart, &pads], &[]);
    tape.builder.reshape(&wide, &extents(dims[axis] * step, None))
}
