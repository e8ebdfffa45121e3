//! Other views of samples that no step is made on: a hundred samples hardly tell which weights are nearer to the teacher, as a few of them make
//! most of the loss; mixed with one another they are many more.

use super::batches::Batches;
use super::gradients::Gradients;
use crate::Result;
use crate::device::{NamedTensor, Runner};
use crate::onnx::Tensor;
use crate::score::Objective;

/// Batches of views with what the teacher makes of them.
pub(super) struct UnseenViews(Vec<(Vec<NamedTensor>, Vec<NamedTensor>)>);

impl UnseenViews {
    /// So many batches; `None` where samples have no other views.
    ///
    /// # Errors
    /// When the teacher cannot be run.
    pub fn of(
        mut batches: Batches,
        teacher: &mut Runner,
        objectives: &[Objective],
        count: usize,
    ) -> Result<Option<Self>> {
        let mut all = Vec::new();
        for _ in 0..count {
            let Some(inputs) = batches.next_view() else {
                return Ok(None);
            };
            let mut taught = teacher.run_tensors(&inputs)?;
            taught.extend(Objective::counts(objectives, &taught, batches.size()));
            all.push((inputs, taught));
        }
        Ok((!all.is_empty()).then_some(Self(all)))
    }

    /// The mean loss of a model with these weights.
    ///
    /// # Errors
    /// When a run fails.
    pub fn loss(&self, gradients: &mut Gradients, weights: &[Tensor]) -> Result<f64> {
        let mut sum = 0.0;
        for (inputs, taught) in &self.0 {
            sum += gradients.at(weights, inputs, taught)?.0;
        }
        Ok(sum / self.0.len().max(1) as f64)
    }
}
