//! What changed: cells of the frame, and what that means for the tiles of each stage.

use super::emitter::{COUNTER, Emitter};
use super::manifest::CHANGE;
use super::stage::Stage;

/// Above every score.
pub(super) const FIRST: f32 = 1e30;

/// How much each cell of the frame changed, as a share of the frame's range: 1×1×rows×columns.
pub(super) fn frame_change(e: &mut Emitter) -> String {
    let scale = e.nodes.floats(&[], &[1.0 / e.numbers.frame_range]);
    e.nodes.builder.op("Mul", &[CHANGE, &scale], &[])
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
