//! Other views of samples that no step is made on: a hundred samples hardly tell which weights are nearer to the teacher, as a few of them make
//! most of the loss; mixed with one another they are many more.

use super::batches::{Batch, Batches};
use super::gradients::Gradients;
use super::teaching::taught;
use crate::Result;
use crate::device::{DeviceTensor, Runner};
use crate::score::Objective;

/// Batches of views with what the teacher makes of them.
pub(super) struct UnseenViews(Vec<(Batch, Batch)>);

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
            let mut inputs = Batch::new();
            if !batches.next_view(&mut inputs)? {
                return Ok(None);
            }
            let made = taught(teacher, objectives, &inputs, batches.size())?;
            all.push((inputs, made));
        }
        Ok((!all.is_empty()).then_some(Self(all)))
    }

    /// The mean loss of a model with these weights.
    ///
    /// # Errors
    /// When a run fails.
    pub fn loss(&self, gradients: &mut Gradients, weights: &[DeviceTensor]) -> Result<f64> {
        let mut sum = 0.0;
        for (inputs, taught) in &self.0 {
            sum += gradients.add(weights, inputs, taught, 0.0, &mut [])?;
        }
        Ok(sum / self.0.len().max(1) as f64)
    }
}
