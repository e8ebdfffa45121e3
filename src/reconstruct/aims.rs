//! What a layer reads at some places, and what it should make of it there.

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, IntoParallelRefMutIterator, ParallelIterator};

use super::outputs::outputs;
use crate::ops::LinearOp;

/// What outputs should be, place by place.
#[derive(Clone, Debug, Default)]
pub(super) struct Aims {
    /// The values themselves.
    pub values: Vec<f32>,
    /// The least and the greatest value that serve as well, where an activation behind is flat; empty where none is.
    pub least: Vec<f32>,
    pub most: Vec<f32>,
}

impl Aims {
    /// Adds those of further places.
    pub fn extend(&mut self, more: Self) {
        self.values.extend(more.values);
        self.least.extend(more.least);
        self.most.extend(more.most);
    }
}

/// Places with what a layer reads there (all groups' columns) and what it should make (all outputs).
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub inputs: Vec<f32>,
    pub aims: Aims,
}

impl Places {
    /// What is missing from a layer's outputs to the nearest value that serves, place by place.
    pub fn missing(&self, linear_op: &LinearOp, weights: &[f32], bias: &[f32]) -> Vec<f32> {
        let mut found = outputs(linear_op, &self.inputs, weights, bias);
        let serves = self.aims.least.par_iter().zip(&self.aims.most);
        found
            .par_iter_mut()
            .zip(serves)
            .for_each(|(v, (&least, &most))| *v = v.max(least).min(most) - *v);
        found
    }
}
