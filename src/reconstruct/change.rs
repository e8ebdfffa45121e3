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
