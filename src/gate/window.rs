//! Which input rows and columns a tile of the output needs.

use super::block::{Block, BranchStep};

/// Tiles of a block's output: `rows`×`columns` places each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Tile {
    /// Rows of a tile.
    pub rows: usize,
    /// Columns of a tile.
    pub columns: usize,
}

/// One spatial axis, seen from a step's input: tile j reads `size` places from `j * step - before` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Places read.
    pub size: usize,
    /// Distance between tiles.
    pub step: usize,
    /// Places before the tile's own.
    pub before: usize,
}

/// How a block is cut into tiles.
#[derive(Clone, Debug, PartialEq)]
pub struct Tiling {
    /// The tile.
    pub tile: Tile,
    /// Tiles by axis.
    pub counts: [usize; 2],
    /// Windows before each step and behind the last, by axis; an axis that is not cut has its whole extent.
    pub windows: Vec<[Window; 2]>,
    /// Rows and columns before each step and behind the last.
    pub shape: Vec<[usize; 2]>,
}

impl Tiling {
    /// The tiling of a block; `None` when the tile does not divide the output, or the input does not divide alike.
    pub fn new(block: &Block, tile: Tile) -> Option<Self> {
        let [_, height, width] = block.output_dims;
        let sizes = [tile.rows, tile.columns];
        let whole = [height, width];
        if (0..2).any(|a| sizes[a] == 0 || !whole[a].is_multiple_of(sizes[a])) {
            return None;
        }
        let counts = [0, 1].map(|a| whole[a] / sizes[a]);
        if counts[0] * counts[1] < 2 || (0..2).any(|a| !block.input_dims[a + 1].is_multiple_of(counts[a])) {
            return None;
        }
        let shape = block.shape();
        let own = |a: usize| Window {
            size: sizes[a],
            step: sizes[a],
            before: 0,
        };
        let mut windows = vec![[own(0), own(1)]];
        for (step, dim) in block.steps.iter().zip(&shape).rev() {
            let behind = windows[windows.len() - 1];
            windows.push([0, 1].map(|a| match step {
                _ if counts[a] == 1 => Window {
                    size: dim[a],
                    step: 0,
                    before: 0,
                },
                BranchStep::Pointwise(_) | BranchStep::Excite(_) => behind[a],
                BranchStep::Conv(l) => Window {
                    size: (behind[a].size - 1) * l.spec.strides[a] + l.spec.span(a),
                    step: behind[a].step * l.spec.strides[a],
                    before: behind[a].before * l.spec.strides[a] + l.pads(a)[0],
                },
            }));
        }
        windows.reverse();
        Some(Self {
            tile,
            counts,
            windows,
            shape,
        })
    }

    /// Tiles in all.
    pub fn tiles(&self) -> usize {
        self.counts[0] * self.counts[1]
    }

    /// Whether an axis is cut.
    pub fn cut(&self, axis: usize) -> bool {
        self.counts[axis] > 1
    }

    /// Whether a step's input reaches past the edges of the map, for any tile.
    pub fn overhangs(&self, step: usize) -> bool {
        (0..2).any(|a| {
            let (w, dim) = (self.windows[step][a], self.shape[step][a]);
            self.cut(a) && (w.before > 0 || (self.counts[a] - 1) * w.step + w.size > dim + w.before)
        })
    }

    /// For each tile, which places of a step's input lie inside the map: tiles × rows × columns.
    pub fn inside(&self, step: usize) -> Vec<f32> {
        let [rows, columns] = self.windows[step];
        let within = |w: Window, tile: usize, place: usize, dim: usize| {
            (tile * w.step + place).checked_sub(w.before).is_some_and(|at| at < dim)
        };
        let mut all = Vec::new();
        for i in 0..self.counts[0] {
            for j in 0..self.counts[1] {
                for r in 0..rows.size {
                    for c in 0..columns.size {
                        let there =
                            within(rows, i, r, self.shape[step][0]) && within(columns, j, c, self.shape[step][1]);
                        all.push(f32::from(u8::from(there)));
                    }
                }
            }
        }
        all
    }

    /// Multiply-accumulates for one tile, halo included.
    pub fn macs(&self, block: &Block) -> u64 {
        let steps = block.steps.iter().zip(&self.windows[1..]);
        steps
            .filter_map(|(step, [r, c])| Some(step.layer()?.macs([r.size, c.size])))
            .sum()
    }

    /// Work for all tiles over the dense work: what halos cost.
    pub fn overhead(&self, block: &Block) -> f64 {
        self.tiles() as f64 * self.macs(block) as f64 / block.macs().max(1) as f64
    }
}

/// Tilings worth timing: those with the least halo first, at most `most`, and tiles of both kinds (bands and blocks). None where a part of the
/// block looks at the whole map.
pub fn tilings(block: &Block, most: usize) -> Vec<Tiling> {
    if block.is_excited() {
        return Vec::new();
    }
    let [_, height, width] = block.output_dims;
    let divisors = |n: usize| (1..=n).filter(move |d| n.is_multiple_of(*d));
    let mut found: Vec<(f64, Tiling)> = Vec::new();
    for rows in divisors(height) {
        for columns in divisors(width) {
            if let Some(tiling) = Tiling::new(block, Tile { rows, columns })
                && (2..=MOST_TILES).contains(&tiling.tiles())
            {
                let overhead = tiling.overhead(block);
                found.push((overhead, tiling));
            }
        }
    }
    found.retain(|(overhead, t)| *overhead <= MOST_HALO && (!t.cut(1) || t.tile.columns * 4 >= t.tile.rows));
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Of each number of tiles the one with the least halo.
    let mut statistics = Vec::new();
    found.retain(|(_, t)| {
        let kind = (t.cut(1), t.tiles());
        let new = !statistics.contains(&kind);
        statistics.push(kind);
        new
    });
    let bands = found.iter().filter(|(_, t)| !t.cut(1)).take(most.div_ceil(2));
    let blocks = found.iter().filter(|(_, t)| t.cut(0) && t.cut(1)).take(most / 2);
    bands.chain(blocks).map(|(_, t)| t.clone()).collect()
}

/// Tiles of one map, at most.
const MOST_TILES: usize = 64;
/// Work with halos over work without, at most, when all tiles are kept.
const MOST_HALO: f64 = 2.2;

#[cfg(test)]
mod tests {
    use super::super::block::{Block, BranchStep};
    use super::super::layer::BranchLayer;
    use super::{Tile, Tiling, tilings};
    use crate::ops::{ConvSpec, Direction, Padding};

    fn block(strides: usize, height: usize) -> Block {
        let layer = |node, strides| {
            BranchStep::Conv(BranchLayer {
                node,
                outputs: 4,
                inputs: 4,
                spec: ConvSpec {
                    kernel: vec![3, 3],
                    strides: vec![strides; 2],
                    dilations: vec![1, 1],
                    padding: Padding::Explicit {
                        begin: vec![1, 1],
                        end: vec![1, 1],
                    },
                    output_padding: vec![0, 0],
                    groups: 1,
                    direction: Direction::Forward,
                },
            })
        };
        Block {
            name: String::new(),
            input: String::new(),
            input_dims: [4, height * strides, 8 * strides],
            positive: true,
            steps: vec![layer(0, strides), BranchStep::Pointwise(vec![1]), layer(2, 1)],
            branch: String::new(),
            other: Some(String::new()),
            end: 3,
            activation: None,
            output: String::new(),
            output_dims: [4, height, 8],
            batch: None,
        }
    }

    #[test]
    fn windows_follow_strides_and_pads() -> Result<(), String> {
        let block = block(2, 8);
        let tiling = Tiling::new(&block, Tile { rows: 4, columns: 8 }).ok_or("no tiling")?;
        // Rows 4..8 of the output read 3..9 of the middle, those 5..18 of the input.
        let rows: Vec<_> = tiling
            .windows
            .iter()
            .map(|w| (w[0].size, w[0].step, w[0].before))
            .collect();
        assert_eq!(rows, [(13, 8, 3), (6, 4, 1), (6, 4, 1), (4, 4, 0)]);
        assert_eq!(tiling.windows[0][1].size, 16);
        assert!(tiling.overhangs(0) && tiling.overhangs(2) && !tiling.overhangs(3));
        let inside = tiling.inside(2);
        // The first tile's first row lies above the map, the second tile's last below it.
        assert_eq!(
            (inside[0], inside[8], inside[2 * 48 - 1], inside[2 * 48 - 9]),
            (0.0, 1.0, 0.0, 1.0)
        );
        Ok(())
    }

    #[test]
    fn the_least_halo_comes_first_and_odd_extents_have_no_tiles() {
        let found = tilings(&block(1, 8), 4);
        assert_eq!(found[0].tile, Tile { rows: 4, columns: 8 });
        assert!(found.iter().any(|t| t.cut(1)));
        assert!(tilings(&block(1, 7), 4).iter().all(|t| !t.cut(0) || t.tile.rows == 1));
    }
}
