//! What a reconstruction starts from: the original network, the change that was made to it, and how layers are fitted.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::channels::{Analysis, IndexRemaps};
use crate::data::Dataset;
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;

/// How layers are fitted.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// λ over the mean of the diagonal of the inputs' covariance; the fit is drawn towards the weights it starts from.
    pub ridge: f64,
    /// Places of every sample that are looked at.
    pub places: usize,
    /// Whether each output is scaled to the deviation that it had.
    pub match_deviation: bool,
    /// Steps towards weights of which only what activations let through counts; none for plain least squares.
    pub steps: usize,
    /// Layers that are fitted, at most: the first ones around the change.
    pub layers: usize,
    /// Whether layers in front of a branch that went are fitted to what it added, too.
    pub in_front: bool,
    /// Seed of the places.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ridge: 1e-3,
            places: 64,
            match_deviation: false,
            steps: 4,
            layers: usize::MAX,
            in_front: true,
            seed: 0,
        }
    }
}

/// Rows for each weight of an output, at most: more change nothing (with n rows for p weights, a fit misses by 1 + p/n of the least).
const ROWS: usize = 512;

impl Settings {
    /// Places of every sample that are looked at for a layer whose outputs have so many weights each, on so many samples.
    pub fn places_for(&self, weights: usize, samples: usize) -> usize {
        (ROWS * weights).div_ceil(samples.max(1)).clamp(1, self.places.max(1))
    }
}

/// The original network and the change that was made to it.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// The original.
    pub model: &'a ModelProto,
    /// Look-ups over it.
    pub graph: &'a Graph<'a>,
    /// Its channels.
    pub analysis: &'a Analysis,
    /// What became of every axis.
    pub remaps: &'a IndexRemaps,
    /// Of [`Analysis::branches`], those that went.
    pub branches: &'a BTreeSet<usize>,
}

impl Change<'_> {
    /// Whether neither channels nor branches went, so that what differs are masks.
    pub(super) fn masks(&self) -> bool {
        self.remaps.is_empty() && self.branches.is_empty()
    }
}

/// The samples that weights are fitted on, and those that say layer by layer whether they are better for it.
#[derive(Clone, Debug)]
pub struct FitSamples<'a> {
    /// All samples.
    pub data: &'a Dataset,
    /// Runs to fit on.
    pub runs: Range<usize>,
    /// Runs right behind these, to judge on; empty where none could be held out, and every fit is taken.
    pub judge: Range<usize>,
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn layers_with_few_weights_an_output_need_fewer_places() {
        let settings = Settings::default();
        // A depthwise 3×3 with its bias, on 400 samples; a layer of 64 channels; hardly any samples; none.
        let places = [(10, 400), (65, 400), (10, 8), (10, 0)].map(|(w, s)| settings.places_for(w, s));
        assert_eq!(places, [13, 64, 64, 64]);
    }
}
