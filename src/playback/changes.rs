//! Which cells of a frame changed, and how many tiles.

use std::ops::Range;

use crate::video::FrameInput;
use crate::{Error, Result};

/// The tiles of a frame and the change that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameTiles {
    /// Planes of the frame, one behind the other.
    planes: usize,
    /// Its rows and columns.
    rows: usize,
    columns: usize,
    tile: [usize; 2],
    halo: [usize; 2],
    tiles: [usize; 2],
    cell: [usize; 2],
    threshold: f32,
}

/// The change of what is no number.
const MUCH: f32 = 1e20;

impl FrameTiles {
    /// The tiles of a frame. |difference| above `threshold` is change.
    ///
    /// # Errors
    /// When the tiles or cells do not cut a frame of its shape.
    pub fn new(frame: &FrameInput, threshold: f64) -> Result<Self> {
        let wrong = || {
            Error::Model(format!(
                "{:?} tiles of {:?} and cells of {:?} do not cut a frame '{}' of {:?}",
                frame.tiles, frame.tile, frame.cell, frame.input, frame.shape
            ))
        };
        let &[1, planes, rows, columns] = frame.shape.as_slice() else {
            return Err(wrong());
        };
        // Without pads the last rows are those that the halo reads, or less than a tile that nothing reads; wide pads make more rows.
        let cut = |side: usize, tile: usize, halo: usize, tiles: usize, cell: usize| {
            tile > 0
                && tile <= side
                && tiles > 0
                && (tiles - 1) * tile < side + halo.max(1)
                && side < (tiles + 1) * tile + halo
                && cell > 0
                && side.is_multiple_of(cell)
                && tile.is_multiple_of(cell)
        };
        let sides = [rows, columns];
        let sound = |a: usize| cut(sides[a], frame.tile[a], frame.halo[a], frame.tiles[a], frame.cell[a]);
        if !sound(0) || !sound(1) {
            return Err(wrong());
        }
        Ok(Self {
            planes,
            rows,
            columns,
            tile: frame.tile,
            halo: frame.halo,
            tiles: frame.tiles,
            cell: frame.cell,
            threshold: threshold as f32,
        })
    }

    /// Tiles of the frame.
    pub fn count(&self) -> usize {
        self.tiles.iter().product()
    }

    /// Rows and columns of cells.
    pub fn cells(&self) -> [usize; 2] {
        [self.rows / self.cell[0], self.columns / self.cell[1]]
    }

    /// The largest |difference| of each cell of two frames, row by row; of frames of another size all are much.
    pub fn differences(&self, frame: &[f32], reference: &[f32], cells: &mut Vec<f32>) {
        let ([down, across], [height, width]) = (self.cells(), self.cell);
        cells.clear();
        cells.resize(down * across, MUCH);
        let size = self.planes * self.rows * self.columns;
        if size == 0 || frame.len() != size || reference.len() != size {
            return;
        }
        let mut most = vec![0.0f32; self.columns];
        for (band, cells) in cells.chunks_exact_mut(across).enumerate() {
            most.fill(0.0);
            for plane in 0..self.planes {
                let start = (plane * self.rows + band * height) * self.columns;
                let lines = start..start + height * self.columns;
                let now = frame.get(lines.clone()).unwrap_or_default().chunks_exact(self.columns);
                let before = reference.get(lines).unwrap_or_default().chunks_exact(self.columns);
                now.zip(before).for_each(|(now, before)| raise(&mut most, now, before));
            }
            for (cell, places) in cells.iter_mut().zip(most.chunks_exact(width)) {
                *cell = places.iter().fold(0.0, |a, b| if *b > a { *b } else { a });
            }
        }
    }

    /// Tiles in which, or around which, a cell changed by more than the threshold.
    pub fn changed(&self, cells: &[f32]) -> usize {
        let across = self.cells()[1];
        // Of each row of cells, around which tiles of a band it changed.
        let columns: Vec<Range<usize>> = (0..self.tiles[1]).map(|k| self.window(1, k, self.columns)).collect();
        let touched = |line: &[f32]| -> Vec<bool> {
            let any = |window: &Range<usize>| line.get(window.clone()).is_none_or(|own| self.any(own));
            columns.iter().map(any).collect()
        };
        let lines: Vec<Vec<bool>> = cells.chunks_exact(across.max(1)).map(touched).collect();
        let is_changed = |band: usize, k: usize| {
            let rows = self.window(0, band, self.rows);
            let mut lines = lines.iter().skip(rows.start).take(rows.len());
            lines.any(|line| line.get(k) == Some(&true))
        };
        let [bands, tiles] = self.tiles;
        (0..bands)
            .map(|band| (0..tiles).filter(|&k| is_changed(band, k)).count())
            .sum()
    }

    /// Takes over into `reference` the cells that changed, and those of one tile, whose turn it is; the difference of the others is 0 from then on.
    pub fn take(&self, frame: &[f32], reference: &mut [f32], cells: &mut [f32], turn: usize) {
        let ([_, across], [height, width], plane) = (self.cells(), self.cell, self.rows * self.columns);
        let count = self.count().max(1);
        let turn = [turn % count / self.tiles[1], turn % count % self.tiles[1]];
        let owns = |a: usize, at: usize| (at * self.cell[a] / self.tile[a]).min(self.tiles[a] - 1) == turn[a];
        for (at, difference) in cells.iter_mut().enumerate() {
            let (row, column) = (at / across, at % across);
            if *difference <= self.threshold && !(owns(0, row) && owns(1, column)) {
                *difference = 0.0;
                continue;
            }
            let first = row * height * self.columns + column * width;
            for start in (0..self.planes * height).map(|k| k / height * plane + first + k % height * self.columns) {
                let own = reference.get_mut(start..start + width);
                if let Some((own, new)) = own.zip(frame.get(start..start + width)) {
                    own.copy_from_slice(new);
                }
            }
        }
    }

    fn any(&self, cells: &[f32]) -> bool {
        cells.iter().fold(false, |any, d| any | (*d > self.threshold))
    }

    /// The cells that the `k`-th tile depends on along an axis.
    fn window(&self, axis: usize, k: usize, side: usize) -> Range<usize> {
        let (tile, halo, cell) = (self.tile[axis], self.halo[axis], self.cell[axis]);
        let start = (k * tile).min(side.saturating_sub(tile));
        start.saturating_sub(halo) / cell..(start + tile + halo).min(side).div_ceil(cell)
    }
}

/// Raises each place to |difference|. No branch depends on a place, so that many are computed at once.
fn raise(most: &mut [f32], now: &[f32], before: &[f32]) {
    for (most, (a, b)) in most.iter_mut().zip(now.iter().zip(before)) {
        let away = (a - b).abs();
        let away = if away.is_nan() { MUCH } else { away };
        *most = if away > *most { away } else { *most };
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
