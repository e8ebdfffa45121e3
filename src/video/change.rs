//! What changed: cells of the frame against the one that they were computed from, and what that means for the tiles of each stage.

use super::emitter::{COUNTER, Emitter, FRAME_REFERENCE, next};
use super::plan::frame_steps;
use super::stage::Stage;

/// Above every score.
pub(super) const FIRST: f32 = 1e30;

/// The new reference and how much each cell of it changed, as a share of the frame's range: 1×1×rows×columns, 0 where it was kept.
pub(super) fn frame_change(e: &mut Emitter) -> Option<String> {
    let (plan, frame) = (e.plan, e.plan.frame.clone());
    let ([_, height, width], [ch, cw]) = (plan.frame_dims, plan.cell);
    let (rows, columns) = (height / ch, width / cw);
    let apart = e.nodes.builder.op("Sub", &[&frame, FRAME_REFERENCE], &[]);
    let apart = e.nodes.builder.op("Abs", &[&apart], &[]);
    let size = [ch as i64, cw as i64];
    let lists: [(&str, &[i64]); 2] = [("kernel_shape", &size), ("strides", &size)];
    let pooled = e.nodes.builder.op("MaxPool", &[&apart], &lists);
    let cells = e.nodes.greatest(&pooled, 1, 1);
    // The largest leaves out what is no number, a sum does not.
    let channels = plan.frame_dims[0];
    let ones = e.nodes.floats(&[1, channels, ch, cw], &vec![1.0; channels * ch * cw]);
    let sums = e.nodes.builder.op("Conv", &[&apart, &ones], &[("strides", &size)]);
    let cells = e.nodes.number(&sums, &cells);
    let limit = e.nodes.floats(&[], &[e.numbers.frame_threshold()]);
    let changed = e.nodes.builder.op("Greater", &[&cells, &limit], &[]);
    // The tile whose turn it is gets a new reference, too.
    let stage = plan.first()?;
    let steps = frame_steps(stage, &frame)?;
    let count = [0, 1].map(|a| stage.axes[a].starts.len());
    let tile =
        |r: usize, c: usize| (r * ch / steps[0]).min(count[0] - 1) * count[1] + (c * cw / steps[1]).min(count[1] - 1);
    let owners: Vec<i64> = (0..rows)
        .flat_map(|r| (0..columns).map(move |c| tile(r, c) as i64))
        .collect();
    let owners = e.nodes.builder.table(&[1, 1, rows, columns], &owners);
    let turn = e.turn(stage.tiles());
    let own = e.nodes.builder.op("Equal", &[&owners, &turn], &[]);
    let taken = e.nodes.builder.op("Or", &[&changed, &own], &[]);
    let b = &mut e.nodes.builder;
    let spread = b.reshape(&taken, &[rows as i64, 1, columns as i64, 1]);
    let shape = b.ints(&[rows as i64, ch as i64, columns as i64, cw as i64]);
    let spread = b.op("Expand", &[&spread, &shape], &[]);
    let mask = b.reshape(&spread, &[1, 1, height as i64, width as i64]);
    b.named("Where", &[&mask, &frame, FRAME_REFERENCE], &[], &next(FRAME_REFERENCE));
    let zero = e.nodes.floats(&[], &[0.0]);
    let lost = e.nodes.builder.op("Where", &[&taken, &cells, &zero], &[]);
    let scale = e.nodes.floats(&[], &[1.0 / e.numbers.frame_range]);
    Some(e.nodes.builder.op("Mul", &[&lost, &scale], &[]))
}

/// The greatest change that each tile of a stage depends on, over all its inputs: one number a tile.
pub(super) fn tile_change(e: &mut Emitter, stage: &Stage) -> Option<String> {
    let mut scores: Vec<String> = Vec::new();
    for (name, halo) in stage.inputs.iter().zip(&stage.halos) {
        let map = stage.maps.get(name)?;
        let change = e.changes.get(name)?.clone();
        let unit = if *name == e.plan.frame { e.plan.cell } else { [1, 1] };
        let (mut kernel, mut strides, mut pads) = ([0i64; 2], [0i64; 2], [0i64; 4]);
        for a in 0..2 {
            let (step, extent) = (stage.axes[a].step * map.scale[a] / unit[a], map.dims[a + 1] / unit[a]);
            let (before, after) = (halo[a].0.div_ceil(unit[a]), halo[a].1.div_ceil(unit[a]));
            let tiles = stage.axes[a].starts.len();
            // Rows that no tile reads are left over where nothing pads a layer.
            let behind = (tiles * step + after).saturating_sub(extent);
            kernel[a] = (step + before + after) as i64;
            strides[a] = step as i64;
            pads[a] = before as i64;
            pads[a + 2] = behind as i64;
        }
        let lists: [(&str, &[i64]); 3] = [("kernel_shape", &kernel), ("strides", &strides), ("pads", &pads)];
        scores.push(e.nodes.builder.op("MaxPool", &[&change], &lists));
    }
    let score = match scores.as_slice() {
        [one] => one.clone(),
        several => {
            let several: Vec<&str> = several.iter().map(String::as_str).collect();
            e.nodes.builder.op("Max", &several, &[])
        }
    };
    Some(e.nodes.builder.reshape(&score, &[stage.tiles() as i64]))
}

impl Emitter<'_> {
    /// The number of the tile, of so many, whose turn it is.
    pub(super) fn turn(&mut self, tiles: usize) -> String {
        if let Some(turn) = self.turns.get(&tiles) {
            return turn.clone();
        }
        let count = self.nodes.builder.ints(&[tiles as i64]);
        let turn = self.nodes.builder.op("Mod", &[COUNTER, &count], &[]);
        self.turns.insert(tiles, turn.clone());
        turn
    }
}
