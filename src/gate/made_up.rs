//! How a layer reads through a gate: channels that are not there are made up of those that are.

use faer::{Mat, MatRef};

/// How channels are made of those that a gate lets through.
#[derive(Clone, Debug)]
pub struct MadeUp {
    /// Aᵀ: channels let through × channels.
    pub(super) mix: Mat<f32>,
    /// b, by channel.
    pub(super) offset: Vec<f64>,
}

impl MadeUp {
    /// A reader's weights (outputs × channels × taps) for what is let through, and what its biases gain.
    pub fn read_through(&self, weights: &[f32], taps: usize) -> (Vec<f32>, Vec<f64>) {
        let c = self.offset.len();
        let rows = by_tap(weights, c, taps);
        let given = MatRef::from_row_major_slice(&rows, rows.len() / c.max(1), c);
        let made = given * self.mix.transpose();
        let each = (c * taps).max(1);
        let one = |at: usize| made[(at / each * taps + at % taps, at % each / taps)];
        let gained = |output: &[f32]| {
            let channels = output.chunks_exact(taps.max(1)).zip(&self.offset);
            channels
                .map(|(w, b)| b * w.iter().map(|&w| f64::from(w)).sum::<f64>())
                .sum()
        };
        (
            (0..weights.len()).map(one).collect(),
            weights.chunks_exact(each).map(gained).collect(),
        )
    }
}

/// Weights (outputs × channels × taps) as (outputs · taps) × channels.
pub(super) fn by_tap(weights: &[f32], channels: usize, taps: usize) -> Vec<f32> {
    let each = (channels * taps).max(1);
    let row = |output: &'_ [f32], t: usize| {
        output
            .iter()
            .skip(t)
            .step_by(taps.max(1))
            .copied()
            .collect::<Vec<f32>>()
    };
    let outputs = weights.chunks_exact(each);
    outputs.flat_map(|o| (0..taps).flat_map(move |t| row(o, t))).collect()
}
