//! How many tiles of a frame changed.

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
    threshold: f32,
}

impl FrameTiles {
    /// The tiles of a frame of the shape \[1, channels, rows, columns\]. |difference| above `threshold` is change.
    ///
    /// # Errors
    /// When the tiles do not cut a frame of that shape.
    pub fn new(frame: &FrameInput, dims: &[usize], threshold: f64) -> Result<Self> {
        let wrong = || {
            Error::Model(format!(
                "{:?} tiles of {:?} do not cut a frame '{}' of {dims:?}",
                frame.tiles, frame.tile, frame.input
            ))
        };
        let &[batch, planes, rows, columns] = dims else {
            return Err(wrong());
        };
        // Without pads the last rows are those that the halo reads, or less than a tile that nothing reads; wide pads make more rows.
        let cut = |side: usize, tile: usize, halo: usize, tiles: usize| {
            tile > 0
                && tile <= side
                && tiles > 0
                && (tiles - 1) * tile < side + halo.max(1)
                && side < (tiles + 1) * tile + halo
        };
        let [height, width] = frame.tile;
        let [down, across] = frame.tiles;
        if batch != 1 || !cut(rows, height, frame.halo[0], down) || !cut(columns, width, frame.halo[1], across) {
            return Err(wrong());
        }
        Ok(Self {
            planes,
            rows,
            columns,
            tile: frame.tile,
            halo: frame.halo,
            tiles: frame.tiles,
            threshold: threshold as f32,
        })
    }

    /// Tiles of the frame.
    pub fn count(&self) -> usize {
        self.tiles.iter().product()
    }

    /// Tiles in which, or around which, two frames differ by more than the threshold somewhere or hold what is no number; all of them for
    /// frames of another size.
    pub fn changed(&self, frame: &[f32], reference: &[f32]) -> usize {
        let size = self.planes * self.rows * self.columns;
        let [down, across] = self.tiles;
        if size == 0 || frame.len() != size || reference.len() != size {
            return self.count();
        }
        // Of each row, around which tiles of a band it changed.
        let mut changed = vec![false; self.rows * across];
        for plane in 0..self.planes {
            let lines = plane * self.rows * self.columns..(plane + 1) * self.rows * self.columns;
            let (Some(now), Some(before)) = (frame.get(lines.clone()), reference.get(lines)) else {
                return self.count();
            };
            let lines = now.chunks_exact(self.columns).zip(before.chunks_exact(self.columns));
            for (known, (now, before)) in changed.chunks_exact_mut(across).zip(lines) {
                for (k, known) in known.iter_mut().enumerate().filter(|(_, known)| !**known) {
                    let window = self.window(1, k, self.columns);
                    let both = now.get(window.clone()).zip(before.get(window));
                    *known = both.is_none_or(|(now, before)| differs(now, before, self.threshold));
                }
            }
        }
        let is_changed = |band: usize, k: usize| {
            let rows = self.window(0, band, self.rows);
            let mut lines = changed.chunks_exact(across).skip(rows.start).take(rows.len());
            lines.any(|line| line.get(k) == Some(&true))
        };
        (0..down)
            .map(|band| (0..across).filter(|&k| is_changed(band, k)).count())
            .sum()
    }

    /// What the `k`-th tile depends on along an axis.
    fn window(&self, axis: usize, k: usize, side: usize) -> Range<usize> {
        let (tile, halo) = (self.tile[axis], self.halo[axis]);
        let start = (k * tile).min(side.saturating_sub(tile));
        start.saturating_sub(halo)..(start + tile + halo).min(side)
    }
}

/// Whether two rows differ by more than the threshold somewhere, or hold what is no number. No branch depends on a place, so that many are
/// computed at once.
fn differs(now: &[f32], before: &[f32], threshold: f32) -> bool {
    let away = now.iter().zip(before).map(|(a, b)| (a - b).abs());
    away.fold(false, |any, d| any | (d > threshold) | d.is_nan())
}

#[cfg(test)]
mod tests {
    use super::FrameTiles;
    use crate::video::FrameInput;

    fn around(halo: [usize; 2], tile: [usize; 2], tiles: [usize; 2], dims: &[usize]) -> Option<FrameTiles> {
        let input = "x".to_owned();
        let frame = FrameInput {
            input,
            tile,
            halo,
            tiles,
        };
        FrameTiles::new(&frame, dims, 0.5).ok()
    }

    fn tiles(tile: [usize; 2], tiles: [usize; 2], dims: &[usize]) -> Option<FrameTiles> {
        around([0, 0], tile, tiles, dims)
    }

    #[test]
    fn each_tile_counts_once_and_the_last_ones_reach_back_into_the_frame() {
        let tiles = tiles([2, 4], [3, 2], &[1, 2, 5, 6]).unwrap();
        assert_eq!(tiles.count(), 6);
        let before = vec![0.0f32; 60];
        let at = |places: &[(usize, usize, usize, f32)]| {
            let mut frame = before.clone();
            places.iter().for_each(|&(c, y, x, v)| frame[(c * 5 + y) * 6 + x] = v);
            tiles.changed(&frame, &before)
        };
        assert_eq!(at(&[]), 0);
        assert_eq!(at(&[(0, 0, 0, 0.5), (1, 4, 5, -0.5)]), 0);
        assert_eq!(at(&[(0, 0, 0, 0.6), (1, 1, 1, -0.7)]), 1);
        // Columns 2 and 3 belong to both tiles of a band, row 3 to both of the last bands.
        assert_eq!(at(&[(1, 0, 3, 1.0)]), 2);
        assert_eq!(at(&[(1, 3, 0, 1.0)]), 2);
        assert_eq!(at(&[(1, 3, 2, 1.0)]), 4);
        assert_eq!(at(&[(0, 4, 5, f32::NAN)]), 1);
        assert_eq!(tiles.changed(&before[..59], &before), 6);
    }

    #[test]
    fn change_around_a_tile_counts_too() {
        let tiles = around([1, 2], [2, 4], [4, 2], &[1, 1, 8, 8]).unwrap();
        let before = vec![0.0f32; 64];
        let at = |y: usize, x: usize| {
            let mut frame = before.clone();
            frame[y * 8 + x] = 1.0;
            tiles.changed(&frame, &before)
        };
        assert_eq!(
            [at(0, 0), at(1, 0), at(2, 1), at(3, 2), at(4, 5), at(7, 7)],
            [1, 2, 2, 4, 4, 1]
        );
    }

    #[test]
    fn tiles_that_do_not_cut_the_frame_are_refused() {
        assert!(tiles([2, 4], [3, 2], &[1, 2, 5, 6]).is_some());
        for (tile, grid, dims) in [
            ([2, 4], [1, 2], &[1usize, 2, 5, 6][..]),
            ([2, 4], [4, 2], &[1, 2, 5, 6]),
            ([0, 4], [3, 2], &[1, 2, 5, 6]),
            ([6, 4], [1, 2], &[1, 2, 5, 6]),
            ([2, 4], [3, 2], &[2, 2, 5, 6]),
            ([2, 4], [3, 2], &[2, 5, 6]),
        ] {
            assert!(tiles(tile, grid, dims).is_none(), "{tile:?} {grid:?} {dims:?}");
        }
    }
}
