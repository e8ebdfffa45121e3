//! What a layer reads at some places, and what it should make of it there.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

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

/// Places with what a layer reads there (all groups' columns) and what it should make (all outputs).
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub inputs: Vec<f32>,
    pub aims: Aims,
}

impl Places {
    /// What is missing from a layer's outputs to the nearest value that serves, place by place.
    pub fn missing(&self, linear_op: &LinearOp, weights: &[f32], bias: &[f32]) -> Vec<f32> {
        let (columns, per, outputs) = (linear_op.columns(), linear_op.group_outputs(), linear_op.outputs);
        let width = linear_op.all_columns();
        let count = self.inputs.len().checked_div(width).unwrap_or(0);
        let inputs = MatRef::from_row_major_slice(&self.inputs, count, width);
        let mut found = vec![0.0; count * outputs];
        let mut made: Mat<f32> = Mat::zeros(count, per);
        for g in 0..linear_op.groups() {
            let own = &weights[g * per * columns..(g + 1) * per * columns];
            let own = MatRef::from_column_major_slice(own, columns, per);
            let inputs = inputs.subcols(g * columns, columns);
            matmul(made.as_mut(), Accum::Replace, inputs, own, 1.0f32, Par::rayon(0));
            for o in 0..per {
                let at = g * per + o;
                for (r, &v) in made.col(o).iter().enumerate() {
                    let (v, k) = (v + bias[at], r * outputs + at);
                    found[k] = v.max(self.aims.least[k]).min(self.aims.most[k]) - v;
                }
            }
        }
        found
    }
}
