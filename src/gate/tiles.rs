//! Taking tiles out of maps, with the halo that kernels need, and putting them back: rows of memory by index.

use super::emitter::GateEmitter;
use super::spec::TileGate;
use crate::onnx::Dtype;

/// The chosen tiles of the block's input: (samples · tiles) × channels × rows × columns.
pub(super) fn gathered(emitter: &mut GateEmitter, gate: &TileGate, chosen: &str) -> String {
    let t = &gate.tiling;
    let [channels, height, width] = emitter.gate.block.input_dims;
    let [rows, columns] = t.windows[0];
    let pad = |axis: usize, dim: usize| {
        let w = t.windows[0][axis];
        if t.cut(axis) {
            let end = ((t.counts[axis] - 1) * w.step + w.size).saturating_sub(w.before + dim);
            (w.before, end)
        } else {
            (0, 0)
        }
    };
    let ((top, mut bottom), (left, mut right)) = (pad(0, height), pad(1, width));
    // Runs of memory that every window begins and ends with: whole rows, or parts of rows.
    let (run_rows, run_columns) = if t.cut(1) {
        (1, gcd(columns.size, columns.step))
    } else {
        (gcd(rows.size, rows.step), width)
    };
    right += (width + left + right).next_multiple_of(run_columns) - (width + left + right);
    bottom += (height + top + bottom).next_multiple_of(run_rows) - (height + top + bottom);
    let (high, wide) = (height + top + bottom, width + left + right);
    let mut x = emitter.gate.block.input.clone();
    if top + bottom + left + right > 0 {
        let pads = [0, 0, top, left, 0, 0, bottom, right].map(|p| p as i64);
        let pads = emitter.builder.ints(&pads);
        x = emitter.builder.op("Pad", &[&x, &pads], &[]);
    }
    let across = wide / run_columns;
    let mut table = Vec::new();
    for i in 0..t.counts[0] {
        for j in 0..t.counts[1] {
            for r in 0..rows.size / run_rows {
                for c in 0..columns.size / run_columns {
                    let row = i * rows.step / run_rows + r;
                    table.push((row * across + j * columns.step / run_columns + c) as i64);
                }
            }
        }
    }
    let each = table.len() / t.tiles();
    let plane = high / run_rows * across;
    let runs = emitter.builder.reshape(&x, &[-1, (run_rows * run_columns) as i64]);
    let table = emitter.builder.table(&[t.tiles(), 1, each], &table);
    let own = emitter.builder.op("Gather", &[&table, chosen], &[("axis", &[0])]);
    let at = placed(emitter, &own, chosen, channels, plane);
    let taken = emitter.builder.op("Gather", &[&runs, &at], &[("axis", &[0])]);
    let dims = [channels, rows.size, columns.size].map(|d| d as i64);
    emitter.builder.reshape(&taken, &[-1, dims[0], dims[1], dims[2]])
}

/// The other addend with the tiles added to it; of a plain chain the mean map with the tiles in it.
pub(super) fn scattered(emitter: &mut GateEmitter, gate: &TileGate, chosen: &str, tiles: &str) -> String {
    let t = &gate.tiling;
    let [channels, height, width] = emitter.gate.block.output_dims;
    let own = if t.cut(1) {
        let mut table = Vec::new();
        for i in 0..t.counts[0] {
            for j in 0..t.counts[1] {
                let row = |r: usize| ((i * t.tile.rows + r) * t.counts[1] + j) as i64;
                table.extend((0..t.tile.rows).map(row));
            }
        }
        let table = emitter.builder.table(&[t.tiles(), 1, t.tile.rows], &table);
        emitter.builder.op("Gather", &[&table, chosen], &[("axis", &[0])])
    } else {
        // A band is one run of memory.
        emitter.builder.reshape(chosen, &[-1, gate.keep as i64, 1, 1])
    };
    let (run, plane) = if t.cut(1) {
        (t.tile.columns, height * t.counts[1])
    } else {
        (t.tile.rows * width, t.counts[0])
    };
    let at = placed(emitter, &own, chosen, channels, plane);
    let at = emitter.builder.reshape(&at, &[-1, 1]);
    let mut new = emitter.builder.reshape(tiles, &[-1, run as i64]);
    let other = emitter.gate.block.other.clone();
    let below = match &other {
        Some(other) => other.clone(),
        None => mean_maps(emitter, gate, chosen),
    };
    let base = emitter.builder.reshape(&below, &[-1, run as i64]);
    // The CPU provider adds no half-precision numbers while it scatters.
    let adds = other.is_some() && emitter.opset >= 16 && emitter.dtype == Dtype::Float;
    if other.is_some() && !adds {
        let flat = emitter.builder.reshape(&at, &[-1]);
        let there = emitter.builder.op("Gather", &[&base, &flat], &[("axis", &[0])]);
        new = emitter.builder.op("Add", &[&there, &new], &[]);
    }
    let all = emitter.builder.op("ScatterND", &[&base, &at, &new], &[]);
    if adds {
        emitter.builder.text("reduction", "add");
    }
    let dims = [channels, height, width].map(|d| d as i64);
    emitter.builder.reshape(&all, &[-1, dims[0], dims[1], dims[2]])
}

/// The mean map, once for every sample: samples × channels × rows × columns.
fn mean_maps(emitter: &mut GateEmitter, gate: &TileGate, chosen: &str) -> String {
    let [channels, height, width] = emitter.gate.block.output_dims;
    let map = emitter.floats(&[1, channels, height, width], &gate.fill);
    match emitter.batch() {
        Some(1) => map,
        Some(n) => {
            let shape = emitter.builder.ints(&[n as i64, 1, 1, 1]);
            emitter.builder.op("Expand", &[&map, &shape], &[])
        }
        None => {
            let numbers = sample_numbers(emitter, chosen);
            let to = emitter.float_type();
            let floats = emitter.builder.op("Cast", &[&numbers], &[("to", &[to])]);
            let zero = emitter.floats(&[], &[0.0]);
            let zeros = emitter.builder.op("Mul", &[&floats, &zero], &[]);
            emitter.builder.op("Add", &[&zeros, &map], &[])
        }
    }
}

/// Places within a plane (samples × tiles × 1 × places) as places among the planes of all samples and channels.
fn placed(emitter: &mut GateEmitter, own: &str, chosen: &str, channels: usize, plane: usize) -> String {
    let steps: Vec<i64> = (0..channels).map(|c| (c * plane) as i64).collect();
    let planes = emitter.builder.table(&[1, 1, channels, 1], &steps);
    let at = emitter.builder.op("Add", &[own, &planes], &[]);
    let sample = (channels * plane) as i64;
    match emitter.batch() {
        Some(1) => at,
        Some(n) => {
            let starts: Vec<i64> = (0..n as i64).map(|s| s * sample).collect();
            let starts = emitter.builder.table(&[n, 1, 1, 1], &starts);
            emitter.builder.op("Add", &[&at, &starts], &[])
        }
        None => {
            let numbers = sample_numbers(emitter, chosen);
            let sample = emitter.builder.ints(&[sample]);
            let starts = emitter.builder.op("Mul", &[&numbers, &sample], &[]);
            emitter.builder.op("Add", &[&at, &starts], &[])
        }
    }
}

/// 0, 1, 2, … for the samples of a run, without a look at its shape: samples × 1 × 1 × 1.
fn sample_numbers(emitter: &mut GateEmitter, chosen: &str) -> String {
    let name = "snapprune/sample_numbers".to_owned();
    if emitter.builder.nodes.iter().any(|n| n.output.contains(&name)) {
        return name;
    }
    let (first, zero, one) = (
        emitter.builder.ints(&[0]),
        emitter.builder.ints(&[0]),
        emitter.builder.ints(&[1]),
    );
    let own = emitter.builder.op("Gather", &[chosen, &first], &[("axis", &[1])]);
    let zeros = emitter.builder.op("Mul", &[&own, &zero], &[]);
    let ones = emitter.builder.op("Add", &[&zeros, &one], &[]);
    let axis = emitter.builder.table(&[], &[0]);
    let count = emitter.builder.op("CumSum", &[&ones, &axis], &[("exclusive", &[1])]);
    let shape = emitter.builder.ints(&[-1, 1, 1, 1]);
    emitter.builder.named("Reshape", &[&count, &shape], &[], &name);
    name
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
