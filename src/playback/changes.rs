//! How many tiles of a frame changed.

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
        let cut = |side: usize, tile: usize, tiles: usize| tile > 0 && tile <= side && tiles == side.div_ceil(tile);
        let [height, width] = frame.tile;
        let [down, across] = frame.tiles;
        if batch != 1 || !cut(rows, height, down) || !cut(columns, width, across) {
            return Err(wrong());
        }
        Ok(Self {
            planes,
            rows,
            columns,
            tile: frame.tile,
            tiles: frame.tiles,
            threshold: threshold as f32,
        })
    }

    /// Tiles of the frame.
    pub fn count(&self) -> usize {
        self.tiles.iter().product()
    }

    /// Tiles in which two frames differ by more than the threshold somewhere, or hold what is no number; all of them for frames of another size.
    pub fn changed(&self, frame: &[f32], reference: &[f32]) -> usize {
        let size = self.planes * self.rows * self.columns;
        if size == 0 || frame.len() != size || reference.len() != size {
            return self.count();
        }
        let [height, width] = self.tile;
        let [down, across] = self.tiles;
        let mut changed = vec![false; across];
        let mut count = 0;
        for band in 0..down {
            changed.fill(false);
            let first = (band * height).min(self.rows - height);
            for plane in 0..self.planes {
                let from = (plane * self.rows + first) * self.columns;
                let lines = from..from + height * self.columns;
                let (Some(now), Some(before)) = (frame.get(lines.clone()), reference.get(lines)) else {
                    return self.count();
                };
                let lines = now.chunks_exact(self.columns).zip(before.chunks_exact(self.columns));
                for (now, before) in lines {
                    for (k, known) in changed.iter_mut().enumerate().filter(|(_, known)| !**known) {
                        let from = (k * width).min(self.columns - width);
                        let both = now.get(from..from + width).zip(before.get(from..from + width));
                        *known = both.is_none_or(|(now, before)| differs(now, before, self.threshold));
                    }
                }
            }
            count += changed.iter().filter(|c| **c).count();
        }
        count
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

    fn tiles(tile: [usize; 2], tiles: [usize; 2], dims: &[usize]) -> Option<FrameTiles> {
        let input = "x".to_owned();
        FrameTiles::new(&FrameInput { input, tile, tiles }, dims, 0.5).ok()
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
    fn tiles_that_do_not_cut_the_frame_are_refused() {
        assert!(tiles([2, 4], [3, 2], &[1, 2, 5, 6]).is_some());
        for (tile, grid, dims) in [
            ([2, 4], [2, 2], &[1usize, 2, 5, 6][..]),
            ([0, 4], [3, 2], &[1, 2, 5, 6]),
            ([6, 4], [1, 2], &[1, 2, 5, 6]),
            ([2, 4], [3, 2], &[2, 2, 5, 6]),
            ([2, 4], [3, 2], &[2, 5, 6]),
        ] {
            assert!(tiles(tile, grid, dims).is_none(), "{tile:?} {grid:?} {dims:?}");
        }
    }
}
