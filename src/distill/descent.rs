//! How a weight tensor follows its gradient.

use super::adam::Adam;
use super::muon::Muon;

/// The largest step of a weight, over the root of the mean square of its tensor: of Adam, and of Muon.
const RATES: [f32; 2] = [3e-3, 1e-3];

/// What a tensor remembers of its gradients.
#[derive(Clone, Debug)]
pub(super) enum Descent {
    /// Each weight by itself.
    Adam(Adam),
    /// All directions of a matrix alike.
    Muon(Muon),
}

impl Descent {
    /// For a tensor: a matrix where each output has many inputs of its own, else each weight by itself.
    pub fn of(dims: &[usize]) -> Self {
        match dims {
            [rows, inputs @ ..] if *rows > 1 && inputs.first().is_some_and(|&n| n > 1) => {
                Self::Muon(Muon::new(*rows, inputs.iter().product()))
            }
            _ => Self::Adam(Adam::new(dims.iter().product())),
        }
    }

    /// One step against a gradient; `share` of the largest that is taken, for weights of this size.
    pub fn step(&mut self, weights: &mut [f32], gradient: &[f32], share: f32, size: f32) {
        let [adam, muon] = RATES;
        match self {
            Self::Adam(descent) => descent.step(weights, gradient, adam * share * size),
            Self::Muon(descent) => descent.step(weights, gradient, muon * share * size),
        }
    }
}
