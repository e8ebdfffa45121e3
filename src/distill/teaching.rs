//! Who teaches what, and for how long.

use std::ops::Range;
use std::time::Duration;

use super::batches::Batch;
use crate::Result;
use crate::data::Dataset;
use crate::device::{DeviceTensor, NamedTensor, Runner};
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

/// What the teacher makes of a batch of `samples`, and how much its values count.
///
/// # Errors
/// When the run fails.
pub(super) fn taught(teacher: &mut Runner, objectives: &[Objective], inputs: &Batch, samples: usize) -> Result<Batch> {
    let values: Vec<(&str, &DeviceTensor)> = inputs.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let mut made = teacher.run(&values)?;
    if objectives.iter().any(Objective::counts_values) {
        let tensors = made
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.tensor()?)));
        let tensors: Vec<NamedTensor> = tensors.collect();
        for (name, tensor) in Objective::counts(objectives, &tensors, samples) {
            let value = DeviceTensor::new(&name, &tensor)?;
            made.push((name, value));
        }
    }
    Ok(made)
}
