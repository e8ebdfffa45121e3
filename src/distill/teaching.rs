//! Who teaches what, and for how long.

use std::ops::Range;
use std::time::Duration;

use crate::data::Dataset;
use crate::onnx::proto::ModelProto;
use crate::score::Objective;

/// Samples of one step, at least.
const SAMPLES: usize = 64;
/// The same where every sample has answers at many places.
const OF_PLACES: usize = 16;
/// How many steps are made.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Steps, at most.
    pub steps: usize,
    /// So long, at most; fewer steps are planned where they would take longer.
    pub at_most: Duration,
    /// Seed of the order of samples.
    pub seed: u64,
}

/// Who teaches what, on which samples.
#[derive(Clone, Copy)]
pub struct Teaching<'a> {
    /// The original.
    pub teacher: &'a ModelProto,
    /// What its outputs are compared as.
    pub objectives: &'a [Objective],
    /// Samples.
    pub data: &'a Dataset,
    /// The runs that steps are made on.
    pub runs: &'a Range<usize>,
    /// Runs of others, whose other views tell which weights are taken, besides the judge.
    pub unseen: &'a Range<usize>,
    /// Samples that memory holds the values of, where their number in a run is open; of fixed runs there is one at a time.
    pub most: usize,
}

/// Samples of one step.
pub fn samples_of_a_step(objectives: &[Objective]) -> usize {
    match objectives.iter().any(Objective::has_places) {
        true => OF_PLACES,
        false => SAMPLES,
    }
}
