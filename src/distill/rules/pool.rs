//! Pools, and maps that grow by repeating.

use super::super::tape::{Products, Tape};
use super::picked;
use super::pointwise::floats;
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Tensor};
use crate::ops::{ConvSpec, Direction};

/// `MaxPool`: where windows stand side by side, what each made goes to the elements that are equal to it, in equal parts; else to the one that it
/// picked.
pub fn max_pool(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let spec = spec(node)?;
    let (x, y) = (tape.input_dims(node, 0)?, tape.dims.get(node.output.first()?)?.clone());
    let apart = spec.kernel == spec.strides && spec.dilations.iter().all(|&d| d == 1);
    if !apart || spec.is_padded() || node.int("ceil_mode", 0) != 0 {
        return picked::max_pool(tape, node, dy);
    }
    let made = repeated(tape, node.output.first()?, &spec.kernel, (&y, &x))?;
    let equal = tape.builder.op("Equal", &[node.input.first()?, &made], &[]);
    let mask = floats(tape, &equal);
    let windows: Vec<i64> = spec.kernel.iter().map(|&k| k as i64).collect();
    let attributes: [(&str, &[i64]); 2] = [("kernel_shape", &windows), ("strides", &windows)];
    let share = tape.builder.op("AveragePool", &[&mask], &attributes);
    let taps = tape.scalar(spec.taps() as f32);
    let ties = tape.builder.op("Mul", &[&share, &taps], &[]);
    let part = tape.builder.op("Div", &[dy, &ties], &[]);
    let spread = repeated(tape, &part, &spec.kernel, (&y, &x))?;
    Some(vec![(0, tape.builder.op("Mul", &[&spread, &mask], &[]))])
}

/// `AveragePool` whose windows all hold equally many elements: a transposed convolution with equal weights.
pub fn average_pool(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let spec = spec(node)?;
    let (x, y) = (tape.input_dims(node, 0)?, tape.dims.get(node.output.first()?)?.clone());
    let counted = !spec.is_padded() || node.int("count_include_pad", 0) != 0;
    if !counted || node.int("ceil_mode", 0) != 0 {
        return None;
    }
    let channels = *x.get(1)?;
    let mut dims = vec![channels, 1];
    dims.extend(&spec.kernel);
    let shares = vec![1.0 / spec.taps() as f32; channels * spec.taps()];
    let weights = tape.builder.constant(&Tensor::from_f32(dims, &shares));
    let (mut begin, mut end, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for axis in 0..spec.rank() {
        let (rows, made) = (*x.get(2 + axis)?, *y.get(2 + axis)?);
        let [a, b] = spec.pads(axis, rows);
        let reached = ((made.checked_sub(1)? * spec.strides[axis]) + spec.span(axis)).checked_sub(a + b)?;
        begin.push(a as i64);
        end.push(b as i64);
        more.push(rows.checked_sub(reached)? as i64);
    }
    begin.extend(end);
    let list = |v: &[usize]| v.iter().map(|&n| n as i64).collect::<Vec<_>>();
    let (strides, dilations) = (list(&spec.strides), list(&spec.dilations));
    let attributes: [(&str, &[i64]); 5] = [
        ("strides", &strides),
        ("dilations", &dilations),
        ("pads", &begin),
        ("group", &[channels as i64]),
        ("output_padding", &more),
    ];
    Some(vec![(
        0,
        tape.builder.op("ConvTranspose", &[dy, &weights], &attributes),
    )])
}

/// `Resize` and `Upsample` that repeat each element a whole number of times: the sum over the repeats.
pub fn nearest(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let (x, y) = (tape.input_dims(node, 0)?, tape.dims.get(node.output.first()?)?.clone());
    let placed = node.text("coordinate_transformation_mode", "half_pixel");
    let repeats = match placed.as_str() {
        "asymmetric" => node.op_type() == "Upsample" || node.text("nearest_mode", "round_prefer_floor") == "floor",
        "half_pixel" | "pytorch_half_pixel" => node.text("nearest_mode", "round_prefer_floor") == "round_prefer_floor",
        _ => false,
    };
    if node.text("mode", "nearest") != "nearest" || !(repeats || node.op_type() == "Upsample") || x.len() != y.len() {
        return None;
    }
    // Blocks of repeats as axes of their own.
    let (mut split, mut axes) = (Vec::new(), Vec::new());
    for (&rows, &made) in x.iter().zip(&y) {
        if rows == 0 || !made.is_multiple_of(rows) {
            return None;
        }
        split.push(rows as i64);
        if made != rows {
            axes.push(split.len() as i64);
            split.push((made / rows) as i64);
        }
    }
    if axes.is_empty() {
        return Some(vec![(0, dy.to_owned())]);
    }
    let blocks = tape.builder.reshape(dy, &split);
    let axes = tape.builder.ints(&axes);
    Some(vec![(
        0,
        tape.builder.op("ReduceSum", &[&blocks, &axes], &[("keepdims", &[0])]),
    )])
}

/// The windows of a pool.
fn spec(node: &NodeProto) -> Option<ConvSpec> {
    let kernel: Vec<usize> = node
        .ints("kernel_shape")?
        .iter()
        .map(|&k| usize::try_from(k).ok())
        .collect::<Option<_>>()?;
    ConvSpec::of(node, &kernel, Direction::Forward)
}

/// Each element as a block of `times`, with zeros behind up to the extents `to`.
fn repeated(tape: &mut Tape, value: &str, times: &[usize], (from, to): (&[usize], &[usize])) -> Option<String> {
    let (mut split, mut wide, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for (axis, &rows) in from.iter().enumerate() {
        let by = axis.checked_sub(2).map_or(1, |a| times.get(a).copied().unwrap_or(1));
        split.extend([rows as i64, 1]);
        wide.extend([rows as i64, by as i64]);
        whole.push(rows * by);
    }
    let apart = tape.builder.reshape(value, &split);
    let wide = tape.builder.ints(&wide);
    let blocks = tape.builder.op("Expand", &[&apart, &wide], &[]);
    let extents: Vec<i64> = whole.iter().map(|&d| d as i64).collect();
    let all = tape.builder.reshape(&blocks, &extents);
    if whole == to {
        return Some(all);
    }
    let mut pads = vec![0; from.len()];
    for (&own, &wanted) in whole.iter().zip(to) {
        pads.push(wanted.checked_sub(own)? as i64);
    }
    let pads = tape.builder.ints(&pads);
    Some(tape.builder.op("Pad", &[&all, &pads], &[]))
}
