//! The numbers that change is held against.

use std::collections::HashMap;

/// Change below this share of a map's range is rounding: kernels for windows add in another order than those for whole maps.
const ROUNDING: f32 = 1e-6;

/// Ranges of maps, and from what share of them on a change counts.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// Largest less smallest number of the frames.
    pub frame_range: f32,
    /// The same of every kept map.
    pub ranges: HashMap<String, f32>,
    /// The share of the range that counts as change; 0 is exact.
    pub factor: f32,
}

impl Numbers {
    /// What a |difference| in the frame's numbers must be above to count.
    pub fn frame_threshold(&self) -> f32 {
        self.factor * self.frame_range
    }

    /// What a tile's score, a share of the range, must be above to count as left.
    pub(super) fn threshold(&self) -> f32 {
        self.factor.max(ROUNDING)
    }

    /// What counts as change in the frame, then in each of the maps.
    pub fn thresholds(&self, kept: &[String]) -> Vec<f32> {
        let maps = kept
            .iter()
            .map(|name| self.threshold() * self.range(name).unwrap_or(1.0));
        std::iter::once(self.frame_threshold()).chain(maps).collect()
    }

    /// The range of a kept map.
    pub(super) fn range(&self, name: &str) -> Option<f32> {
        self.ranges.get(name).copied().map(|r| if r > 0.0 { r } else { 1.0 })
    }
}
