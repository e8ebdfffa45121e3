//! How many tiles of each stage frames touch, told from the maps that the whole model makes of them.

use super::plan::VideoPlan;
use super::stage::Stage;

/// Places that changed, row by row.
struct Mask {
    rows: usize,
    columns: usize,
    set: Vec<bool>,
}

/// Follows frames in their order, for one share of the ranges that counts as change.
pub struct TouchedTiles<'a> {
    plan: &'a VideoPlan,
    /// What counts as change in the frame and in each kept map.
    thresholds: Vec<f32>,
    /// What cells of the frame were computed from last, plane by plane, and those that changed.
    frame: Vec<f32>,
    changed: Option<Mask>,
    /// What places of kept maps were, as rows of pixels.
    maps: Vec<Vec<f32>>,
}

impl<'a> TouchedTiles<'a> {
    /// `thresholds`: what counts as change in the frame, then in each of [`VideoPlan::kept`].
    pub fn new(plan: &'a VideoPlan, thresholds: Vec<f32>) -> Self {
        Self {
            plan,
            thresholds,
            frame: Vec::new(),
            changed: None,
            maps: Vec::new(),
        }
    }

    /// What the next frame is computed from: where it did not change, what earlier ones were.
    pub fn seen(&mut self, frame: &[f32]) -> &[f32] {
        if self.frame.len() == frame.len() {
            let threshold = self.thresholds.first().copied().unwrap_or(0.0);
            self.changed = self.plan.frame_mask(&mut self.frame, frame, threshold);
        } else {
            self.frame = frame.to_vec();
        }
        &self.frame
    }

    /// Tiles of each stage that this frame touches, from the kept maps that the model makes of it; `None` of the first.
    pub fn touched(&mut self, maps: Vec<Vec<f32>>) -> Option<Vec<usize>> {
        if self.maps.len() != maps.len() {
            self.maps = maps;
            return None;
        }
        let thresholds = self.thresholds.iter().skip(1);
        let pairs = self.maps.iter_mut().zip(&maps).zip(thresholds).enumerate();
        let masks: Vec<Option<Mask>> = pairs
            .map(|(k, ((old, new), threshold))| self.plan.map_mask(k, old, new, *threshold))
            .collect();
        let mask = |name: &str| match name == self.plan.frame {
            true => self.changed.as_ref(),
            false => masks.get(self.plan.kept.iter().position(|k| k == name)?)?.as_ref(),
        };
        let stages = self.plan.stages.iter();
        Some(
            stages
                .map(|s| self.plan.touched_tiles(s, &mask).unwrap_or_else(|| s.tiles()))
                .collect(),
        )
    }
}

impl VideoPlan {
    /// Cells of the frame that changed, which are then the reference.
    fn frame_mask(&self, old: &mut [f32], new: &[f32], threshold: f32) -> Option<Mask> {
        let ([channels, height, width], [down, across]) = (self.frame_dims, self.cell);
        let (rows, columns) = (height / down, width / across);
        let mut set = vec![false; rows * columns];
        let cell = |at: usize| (at / width % height / down) * columns + at % width / across;
        if old.len() != channels * height * width {
            return None;
        }
        for (at, (old, new)) in old.iter().zip(new).enumerate() {
            if (old - new).abs() > threshold {
                *set.get_mut(cell(at))? = true;
            }
        }
        for (at, (old, new)) in old.iter_mut().zip(new).enumerate() {
            if set.get(cell(at)) == Some(&true) {
                *old = *new;
            }
        }
        Some(Mask { rows, columns, set })
    }

    /// Places of a kept map that changed, which are then the reference.
    fn map_mask(&self, kept: usize, old: &mut [f32], new: &[f32], threshold: f32) -> Option<Mask> {
        let name = self.kept.get(kept)?;
        let [channels, rows, columns] = self.stages.iter().find_map(|s| s.maps.get(name))?.dims;
        let pixels = old.chunks_exact_mut(channels).zip(new.chunks_exact(channels));
        let set = pixels.take(rows * columns).map(|(old, new)| {
            let changed = old.iter().zip(new).any(|(a, b)| (a - b).abs() > threshold);
            if changed {
                old.copy_from_slice(new);
            }
            changed
        });
        let set = set.collect();
        Some(Mask { rows, columns, set })
    }

    /// Tiles of a stage that depend on a place that changed.
    fn touched_tiles<'m>(&self, stage: &Stage, mask: &dyn Fn(&str) -> Option<&'m Mask>) -> Option<usize> {
        let mut all = vec![false; stage.tiles()];
        if stage.is_of_places() {
            for depends in &stage.depends {
                let along = |a: usize| (0..depends.taps.to[a]).map(|o| depends.range(a, o)).collect();
                mask(&depends.input)?.spread(&along(0), &along(1), &mut all);
            }
        } else {
            for (name, halo) in stage.inputs.iter().zip(&stage.halos) {
                let map = stage.maps.get(name)?;
                let unit = if *name == self.frame { self.cell } else { [1, 1] };
                let along = |a: usize| {
                    let step = stage.axes[a].step * map.scale[a] / unit[a];
                    let (before, behind) = (halo[a].0.div_ceil(unit[a]), halo[a].1.div_ceil(unit[a]));
                    let tiles = 0..stage.axes[a].starts.len();
                    tiles
                        .map(|t| ((t * step).saturating_sub(before), (t + 1) * step + behind))
                        .collect()
                };
                mask(name)?.spread(&along(0), &along(1), &mut all);
            }
        }
        Some(all.iter().filter(|t| **t).count())
    }
}

impl Mask {
    /// Notes tiles with a place that is set in their rows and columns.
    fn spread(&self, rows: &Vec<(usize, usize)>, columns: &Vec<(usize, usize)>, all: &mut [bool]) {
        let range = |(low, high): &(usize, usize), end: usize| (*low).min(end)..(*high).min(end);
        // Of each row, the columns of tiles that it touches.
        let mut across = vec![false; self.rows * columns.len()];
        let lines = self.set.chunks_exact(self.columns.max(1));
        for (own, line) in across.chunks_exact_mut(columns.len().max(1)).zip(lines) {
            if line.contains(&true) {
                for (own, window) in own.iter_mut().zip(columns) {
                    *own = line
                        .get(range(window, self.columns))
                        .is_some_and(|part| part.contains(&true));
                }
            }
        }
        for (line, window) in all.chunks_exact_mut(columns.len().max(1)).zip(rows) {
            for r in range(window, self.rows) {
                let from = r * columns.len();
                let own = across.get(from..from + columns.len()).unwrap_or_default();
                line.iter_mut().zip(own).for_each(|(all, own)| *all |= *own);
            }
        }
    }
}
