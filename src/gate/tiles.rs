//! Taking tiles out of maps, with the halo that kernels need, and putting them back: rows of memory by index.

use super::emit::GateEmitter;
use super::spec::TileGate;

/// The chosen tiles of the block's input: (samples · tiles) × channels × rows × columns.
pub(super) fn gathered(m: &mut GateEmitter, gate: &TileGate, chosen: &str) -> String {
    let t = &gate.tiling;
    let [channels, height, width] = m.gate.block.input_dims;
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
    let mut x = m.gate.block.input.clone();
    if top + bottom + left + right > 0 {
        let pads = [0, 0, top, left, 0, 0, bottom, right].map(|p| p as i64);
        let pads = m.builder.ints(&pads);
        x = m.builder.op("Pad", &[&x, &pads], &[]);
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
    let runs = m.builder.reshape(&x, &[-1, (run_rows * run_columns) as i64]);
    let table = m.builder.table(&[t.tiles(), 1, each], &table);
    let own = m.builder.op("Gather", &[&table, chosen], &[("axis", &[0])]);
    let at = m.placed(&own, chosen, channels, plane);
    let taken = m.builder.op("Gather", &[&runs, &at], &[("axis", &[0])]);
    let dims = [channels, rows.size, columns.size].map(|d| d as i64);
    m.builder.reshape(&taken, &[-1, dims[0], dims[1], dims[2]])
}

/// The other addend with the tiles added to it.
pub(super) fn scattered(m: &mut GateEmitter, gate: &TileGate, chosen: &str, tiles: &str) -> String {
    let t = &gate.tiling;
    let [channels, height, width] = m.gate.block.output_dims;
    let own = if t.cut(1) {
        let mut table = Vec::new();
        for i in 0..t.counts[0] {
            for j in 0..t.counts[1] {
                let row = |r: usize| ((i * t.tile.rows + r) * t.counts[1] + j) as i64;
                table.extend((0..t.tile.rows).map(row));
            }
        }
        let table = m.builder.table(&[t.tiles(), 1, t.tile.rows], &table);
        m.builder.op("Gather", &[&table, chosen], &[("axis", &[0])])
    } else {
        // A band is one run of memory.
        m.builder.reshape(chosen, &[-1, gate.keep as i64, 1, 1])
    };
    let (run, plane) = if t.cut(1) {
        (t.tile.columns, height * t.counts[1])
    } else {
        (t.tile.rows * width, t.counts[0])
    };
    let at = m.placed(&own, chosen, channels, plane);
    let at = m.builder.reshape(&at, &[-1, 1]);
    let mut new = m.builder.reshape(tiles, &[-1, run as i64]);
    let other = m.gate.block.other.clone();
    let base = m.builder.reshape(&other, &[-1, run as i64]);
    let adds = m.opset >= 16;
    if !adds {
        let flat = m.builder.reshape(&at, &[-1]);
        let there = m.builder.op("Gather", &[&base, &flat], &[("axis", &[0])]);
        new = m.builder.op("Add", &[&there, &new], &[]);
    }
    let all = m.builder.op("ScatterND", &[&base, &at, &new], &[]);
    if adds {
        m.builder.text("reduction", "add");
    }
    let dims = [channels, height, width].map(|d| d as i64);
    m.builder.reshape(&all, &[-1, dims[0], dims[1], dims[2]])
}

impl GateEmitter<'_> {
    /// Places within a plane (samples × tiles × 1 × places) as places among the planes of all samples and channels.
    fn placed(&mut self, own: &str, chosen: &str, channels: usize, plane: usize) -> String {
        let steps: Vec<i64> = (0..channels).map(|c| (c * plane) as i64).collect();
        let planes = self.builder.table(&[1, 1, channels, 1], &steps);
        let at = self.builder.op("Add", &[own, &planes], &[]);
        let sample = (channels * plane) as i64;
        match self.batch() {
            Some(1) => at,
            Some(n) => {
                let starts: Vec<i64> = (0..n as i64).map(|s| s * sample).collect();
                let starts = self.builder.table(&[n, 1, 1, 1], &starts);
                self.builder.op("Add", &[&at, &starts], &[])
            }
            None => {
                let numbers = self.sample_numbers(chosen);
                let sample = self.builder.ints(&[sample]);
                let starts = self.builder.op("Mul", &[&numbers, &sample], &[]);
                self.builder.op("Add", &[&at, &starts], &[])
            }
        }
    }

    /// 0, 1, 2, … for the samples of a run, without a look at its shape: samples × 1 × 1 × 1.
    fn sample_numbers(&mut self, chosen: &str) -> String {
        let name = "snapprune/sample_numbers".to_owned();
        if self.builder.nodes.iter().any(|n| n.output.contains(&name)) {
            return name;
        }
        let (first, zero, one) = (
            self.builder.ints(&[0]),
            self.builder.ints(&[0]),
            self.builder.ints(&[1]),
        );
        let own = self.builder.op("Gather", &[chosen, &first], &[("axis", &[1])]);
        let zeros = self.builder.op("Mul", &[&own, &zero], &[]);
        let ones = self.builder.op("Add", &[&zeros, &one], &[]);
        let axis = self.builder.table(&[], &[0]);
        let count = self.builder.op("CumSum", &[&ones, &axis], &[("exclusive", &[1])]);
        let shape = self.builder.ints(&[-1, 1, 1, 1]);
        self.builder.named("Reshape", &[&count, &shape], &[], &name);
        name
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
