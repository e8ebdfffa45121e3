//! Convolutions: a gradient goes back through the transposed convolution, and to the weights as products of the windows that each output read.

use super::super::tape::{Products, Tape};
use crate::onnx::proto::NodeProto;
use crate::ops::{ConvSpec, Direction};

/// `Conv`: N×C×…, M×C/g×…, M.
pub fn conv(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let (x, w) = (tape.input_dims(node, 0)?, tape.input_dims(node, 1)?);
    let y = tape.dims.get(node.output.first()?)?.clone();
    let spec = ConvSpec::of(node, w.get(2..)?, Direction::Forward)?;
    let (input, weights) = (node.input.first()?, node.input.get(1)?);
    let mut found = bias(tape, node, dy, y.len());
    if tape.wants(node, 1) {
        found.push((1, of_weights(tape, &spec, (input, &x), (dy, &y), &w)?));
    }
    if tape.wants(node, 0) {
        let depthwise = spec.groups == *x.get(1)? && spec.groups == *y.get(1)?;
        let direct = depthwise.then(|| by_channels(tape, &spec, (&x, &y), dy, weights));
        if let Some(gradient) = direct.flatten() {
            found.push((0, gradient));
            return Some(found);
        }
        let sizes = x.get(2..)?.iter().zip(y.get(2..)?).enumerate();
        let more = sizes.map(|(axis, (&rows, &made))| {
            let [begin, end] = spec.pads(axis, rows);
            let reached = ((made.checked_sub(1)? * spec.strides[axis]) + spec.span(axis)).checked_sub(begin + end)?;
            rows.checked_sub(reached).map(|n| n as i64)
        });
        let more: Vec<i64> = more.collect::<Option<_>>()?;
        let mut attributes = geometry(&spec, x.get(2..)?);
        attributes.push(("output_padding", more));
        let attributes: Vec<(&str, &[i64])> = attributes.iter().map(|(n, v)| (*n, v.as_slice())).collect();
        found.push((0, tape.builder.op("ConvTranspose", &[dy, weights], &attributes)));
    }
    Some(found)
}

/// The gradient of a depthwise convolution's input as a convolution with turned weights, over gradients with zeros between them where it strides: devices
/// have fast kernels for that, and slow ones for transposed convolutions of many groups. `None` where that needs negative pads.
fn by_channels(
    tape: &mut Tape,
    spec: &ConvSpec,
    (x, y): (&[usize], &[usize]),
    dy: &str,
    weights: &str,
) -> Option<String> {
    let rank = spec.rank();
    let (n, c) = (*y.first()? as i64, *y.get(1)? as i64);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut spread = dy.to_owned();
    for axis in 0..rank {
        let (rows, made) = (*x.get(2 + axis)?, *y.get(2 + axis)?);
        let left = (spec.span(axis) - 1).checked_sub(spec.pads(axis, rows)[0])?;
        let reached = made * spec.strides[axis] + left;
        before.push(left as i64);
        after.push((rows + spec.span(axis) - 1).checked_sub(reached)? as i64);
    }
    if spec.strides.iter().any(|&s| s > 1) {
        let places = |step: &dyn Fn(usize) -> i64| -> Vec<i64> {
            let each = (0..rank).flat_map(|axis| [y[2 + axis] as i64, step(axis)]);
            [n, c].into_iter().chain(each).collect()
        };
        let single = places(&|_| 1);
        spread = tape.builder.reshape(&spread, &single);
        let more = (0..rank).flat_map(|axis| [0, spec.strides[axis] as i64 - 1]);
        let pads: Vec<i64> = std::iter::repeat_n(0, 2 * rank + 4).chain(more).collect();
        let pads = tape.builder.ints(&pads);
        spread = tape.builder.op("Pad", &[&spread, &pads], &[]);
        let sizes = (0..rank).map(|axis| (y[2 + axis] * spec.strides[axis]) as i64);
        let sizes: Vec<i64> = [n, c].into_iter().chain(sizes).collect();
        spread = tape.builder.reshape(&spread, &sizes);
    }
    let list = |tape: &mut Tape, of: &dyn Fn(usize) -> i64| tape.builder.ints(&(0..rank).map(of).collect::<Vec<_>>());
    let (from, to) = (list(tape, &|_| -1), list(tape, &|axis| -1 - spec.kernel[axis] as i64));
    let (axes, steps) = (list(tape, &|axis| 2 + axis as i64), list(tape, &|_| -1));
    let turned = tape.builder.op("Slice", &[weights, &from, &to, &axes, &steps], &[]);
    let dilations: Vec<i64> = spec.dilations.iter().map(|&d| d as i64).collect();
    let attributes = [
        ("pads", [before, after].concat()),
        ("dilations", dilations),
        ("group", vec![c]),
    ];
    let attributes: Vec<(&str, &[i64])> = attributes.iter().map(|(n, v)| (*n, v.as_slice())).collect();
    Some(tape.builder.op("Conv", &[&spread, &turned], &attributes))
}

/// `ConvTranspose`: N×C×…, C×M/g×…, M. What it does to its input, `Conv` does to the gradient.
pub fn transposed(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let (x, w) = (tape.input_dims(node, 0)?, tape.input_dims(node, 1)?);
    let y = tape.dims.get(node.output.first()?)?.clone();
    let spec = ConvSpec::of(node, w.get(2..)?, Direction::Transposed)?;
    if spec.output_padding.iter().any(|&p| p > 0) {
        return None;
    }
    let (input, weights) = (node.input.first()?, node.input.get(1)?);
    let mut found = bias(tape, node, dy, y.len());
    if tape.wants(node, 1) {
        found.push((1, of_weights(tape, &spec, (dy, &y), (input, &x), &w)?));
    }
    if tape.wants(node, 0) {
        let attributes = geometry(&spec, y.get(2..)?);
        let attributes: Vec<(&str, &[i64])> = attributes.iter().map(|(n, v)| (*n, v.as_slice())).collect();
        found.push((0, tape.builder.op("Conv", &[dy, weights], &attributes)));
    }
    Some(found)
}

/// The sum over all axes but that of channels.
fn bias(tape: &mut Tape, node: &NodeProto, dy: &str, rank: usize) -> Products {
    if !tape.wants(node, 2) {
        return Vec::new();
    }
    let axes: Vec<i64> = (0..rank as i64).filter(|&a| a != 1).collect();
    let axes = tape.builder.ints(&axes);
    vec![(2, tape.builder.op("ReduceSum", &[dy, &axes], &[("keepdims", &[0])]))]
}

/// Attributes of a convolution over `sizes` rows.
fn geometry(spec: &ConvSpec, sizes: &[usize]) -> Vec<(&'static str, Vec<i64>)> {
    let list = |v: &[usize]| v.iter().map(|&n| n as i64).collect::<Vec<_>>();
    let pads: Vec<[usize; 2]> = (0..spec.rank()).map(|axis| spec.pads(axis, sizes[axis])).collect();
    let both = [0, 1].map(|side| pads.iter().map(|p| p[side] as i64).collect::<Vec<_>>());
    vec![
        ("strides", list(&spec.strides)),
        ("dilations", list(&spec.dilations)),
        ("pads", both.concat()),
        ("group", vec![spec.groups as i64]),
    ]
}

/// Σ over samples and places of what an output's gradient is times what its window holds. `wide` is what windows slide over (N×C×…),
/// `narrow` has a place for each window (N×M×…); the weights are M×C/g×….
fn of_weights(
    tape: &mut Tape,
    spec: &ConvSpec,
    (wide, x): (&str, &[usize]),
    (narrow, y): (&str, &[usize]),
    w: &[usize],
) -> Option<String> {
    let (n, g) = (*x.first()? as i64, spec.groups as i64);
    let (c, m) = (*x.get(1)? as i64 / g, *y.get(1)? as i64 / g);
    let places: i64 = y.get(2..)?.iter().product::<usize>() as i64;
    let rank = spec.rank();
    let sizes = x.get(2..)?;
    let pads: Vec<[usize; 2]> = (0..rank).map(|axis| spec.pads(axis, sizes[axis])).collect();
    let mut padded = wide.to_owned();
    if pads.iter().flatten().any(|&p| p > 0) {
        let side = |k: usize| [0, 0].into_iter().chain(pads.iter().map(move |p| p[k] as i64));
        let all = tape.builder.ints(&side(0).chain(side(1)).collect::<Vec<_>>());
        padded = tape.builder.op("Pad", &[&padded, &all], &[]);
    }
    let whole = spec.groups == 1;
    if whole {
        // Samples lie within channels, so that one product sums over all of them.
        padded = channels_first(tape, &padded, rank);
    }
    let axes = tape.builder.ints(&(2..2 + rank as i64).collect::<Vec<_>>());
    let steps = tape
        .builder
        .ints(&spec.strides.iter().map(|&s| s as i64).collect::<Vec<_>>());
    let shape = match whole {
        true => vec![c, n * places],
        false => vec![n, g, c, places],
    };
    let mut taps = Vec::new();
    for tap in 0..spec.taps() {
        let mut left = tap;
        let mut at = vec![0; rank];
        for axis in (0..rank).rev() {
            at[axis] = left % spec.kernel[axis] * spec.dilations[axis];
            left /= spec.kernel[axis];
        }
        let from: Vec<i64> = at.iter().map(|&a| a as i64).collect();
        let to = at.iter().zip(&spec.strides).zip(y.get(2..)?);
        let to: Vec<i64> = to.map(|((a, s), places)| (a + (places - 1) * s + 1) as i64).collect();
        let (from, to) = (tape.builder.ints(&from), tape.builder.ints(&to));
        let seen = tape.builder.op("Slice", &[&padded, &from, &to, &axes, &steps], &[]);
        taps.push(tape.builder.reshape(&seen, &shape));
    }
    let windows = match taps.as_slice() {
        [one] => one.clone(),
        all => {
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            let axis = shape.len() as i64 - 2;
            tape.builder.op("Concat", &all, &[("axis", &[axis])])
        }
    };
    let sum = match whole {
        true => {
            let rows = channels_first(tape, narrow, rank);
            let rows = tape.builder.reshape(&rows, &[m, n * places]);
            tape.builder.op("Gemm", &[&rows, &windows], &[("transB", &[1])])
        }
        false => {
            // Windows are many times as large as the gradients, so these are turned.
            let columns = match m {
                1 => tape.builder.reshape(narrow, &[n, g, places, 1]),
                _ => {
                    let rows = tape.builder.reshape(narrow, &[n, g, m, places]);
                    tape.builder.op("Transpose", &[&rows], &[("perm", &[0, 1, 3, 2])])
                }
            };
            let each = tape.builder.op("MatMul", &[&windows, &columns], &[]);
            let first = tape.builder.ints(&[0]);
            tape.builder.op("ReduceSum", &[&each, &first], &[("keepdims", &[0])])
        }
    };
    let taps = spec.taps() as i64;
    let turned = match whole {
        true => {
            let split = tape.builder.reshape(&sum, &[g, m, taps, c]);
            tape.builder.op("Transpose", &[&split], &[("perm", &[0, 1, 3, 2])])
        }
        false => {
            let split = tape.builder.reshape(&sum, &[g, taps, c, m]);
            tape.builder.op("Transpose", &[&split], &[("perm", &[0, 3, 2, 1])])
        }
    };
    let dims: Vec<i64> = w.iter().map(|&d| d as i64).collect();
    Some(tape.builder.reshape(&turned, &dims))
}

/// N×C×… as C×N×….
fn channels_first(tape: &mut Tape, value: &str, rank: usize) -> String {
    let order: Vec<i64> = [1, 0].into_iter().chain(2..2 + rank as i64).collect();
    tape.builder.op("Transpose", &[value], &[("perm", &order)])
}
