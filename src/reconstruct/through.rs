//! Fits a layer to what its activation lets through: least squares of f(y) instead of y.
//!
//! A square of f(y) − f(z) is s·(y − z)², with s the square of the secant's slope. Where s is at most 1, targets
//! z' = z + s·(y − z), z what the present weights make, bring a sum of such squares down in plain least squares (a majorization: Hunter and
//! Lange, 2004), and its matrix stays the same from round to round.

use super::change::Settings;
use super::outputs::outputs;
use super::solve::{Fit, Present, Sums};
use crate::Result;
use crate::device::Products;
use crate::ops::LinearOp;
use crate::ops::scalar::ScalarFn;

/// Rounds.
const ROUNDS: usize = 6;
/// A layer with more columns than this, whose matrix takes long to solve, stops at a round that takes less than this share of the error.
const MANY_COLUMNS: usize = 1152;
const LEAST_GAIN: f64 = 5e-3;
/// Rows that are kept take at most so many bytes; a layer with more is fitted to its own output.
const MOST_BYTES: usize = 512 << 20;
/// Numbers that a round holds for each target: it, what is made, the slope (twice as long) and the next target.
const PER_GOAL: usize = 5;

/// Rows of inputs, and what a layer should make of them.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub rows: Vec<f32>,
    pub goals: Vec<f32>,
}

impl Kept {
    /// Adds rows; `false` where they take too much memory, and nothing is kept from then on.
    pub fn add(&mut self, rows: &[f32], goals: &[f32]) -> bool {
        let of = |rows: usize, goals: usize| size_of::<f32>() * (rows + PER_GOAL * goals);
        if of(self.rows.len() + rows.len(), self.goals.len() + goals.len()) > MOST_BYTES {
            *self = Self::default();
            return false;
        }
        self.rows.extend_from_slice(rows);
        self.goals.extend_from_slice(goals);
        true
    }

    /// The mean over rows of Σ (f(y) − f(z))².
    fn error(&self, layer: &LinearOp, f: &ScalarFn, weights: &[f32], bias: &[f32]) -> f64 {
        let made = outputs(layer, &self.rows, weights, bias);
        let square = |(y, z): (&f32, &f32)| (f(f64::from(*y)) - f(f64::from(*z))).powi(2);
        let sum: f64 = self.goals.iter().zip(&made).map(square).sum();
        sum / (self.goals.len() as f64).max(1.0)
    }
}

/// Weights for what `f` lets through, from those of plain least squares on; which of them is better on other rows, and better than
/// the present ones, or `None`.
///
/// # Errors
/// When `device` fails.
pub(super) fn fit_through(
    (layer, f): (&LinearOp, &ScalarFn),
    sums: &mut Sums,
    (fitted_on, judging): (&Kept, &Kept),
    (plain, present): (Fit, Present),
    settings: Settings,
    device: Option<&dyn Products>,
) -> Result<Option<Fit>> {
    let bias = |fit: &Fit| fit.bias.clone().unwrap_or_else(|| present.bias.to_vec());
    let mut best: Option<Fit> = None;
    let mut least = judging.error(layer, f, present.weights, present.bias);
    let (mut fit, mut last) = (plain, f64::INFINITY);
    for round in 0..=ROUNDS {
        let error = judging.error(layer, f, &fit.weights, &bias(&fit));
        let gains = error < (1.0 - LEAST_GAIN) * last;
        last = error;
        if error <= least {
            least = error;
            best = Some(fit.clone());
        }
        if round == ROUNDS || (layer.columns() > MANY_COLUMNS && !gains) {
            break;
        }
        let made = outputs(layer, &fitted_on.rows, &fit.weights, &bias(&fit));
        let slopes: Vec<f64> = fitted_on
            .goals
            .iter()
            .zip(&made)
            .map(|(y, z)| slope(f, *y, *z))
            .collect();
        let steepest = slopes.iter().copied().fold(0.0, f64::max);
        if !(steepest > 0.0 && steepest.is_finite()) {
            break;
        }
        let pairs = fitted_on.goals.iter().zip(&made).zip(&slopes);
        let goals: Vec<f32> = pairs
            .map(|((y, z), s)| z + (s / steepest).powi(2) as f32 * (y - z))
            .collect();
        sums.aim_at(&fitted_on.rows, &goals, device)?;
        fit = Fit::new(layer, sums, present, settings);
    }
    Ok(best)
}

/// The slope of the secant of a function.
fn slope(f: &ScalarFn, a: f32, b: f32) -> f64 {
    let (a, b) = (f64::from(a), f64::from(b));
    let near = 1e-4 * (1.0 + a.abs());
    let (low, high) = if (a - b).abs() < near {
        (a - near, a + near)
    } else {
        (a, b)
    };
    let slope = ((f(high) - f(low)) / (high - low)).abs();
    if slope.is_finite() { slope } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::{Fit, Kept, Present, Settings, Sums, fit_through};
    use crate::ops::LinearOp;

    /// y = 2 x0 − 3 behind a ReLU, of inputs of which the second only tells what goes on below zero.
    #[test]
    fn what_an_activation_takes_away_is_not_fitted() -> crate::Result<()> {
        let layer = LinearOp::neuron(2);
        let mut random = fastrand::Rng::with_seed(5);
        let mut kept = || {
            let mut kept = Kept::default();
            for _ in 0..400 {
                let (x, z) = (random.f32() * 4.0, random.f32());
                let y = 2.0 * x - 3.0;
                assert!(kept.add(&[x, z], &[if y > 0.0 { y } else { -20.0 * z }]));
            }
            kept
        };
        let (fitted_on, judging) = (kept(), kept());
        let mut sums = Sums::new(&layer);
        sums.add(&fitted_on.rows, &fitted_on.goals, None)?;
        let (weights, bias) = ([0.0, 0.0], [0.0]);
        let present = Present {
            weights: &weights,
            bias: &bias,
            kept: &[Some(0)],
        };
        let f: crate::ops::scalar::ScalarFn = Box::new(crate::ops::scalar::relu);
        let plain = Fit::new(&layer, &sums, present, Settings::default());
        let error = |fit: &Fit| judging.error(&layer, &f, &fit.weights, fit.bias.as_deref().unwrap_or(&[0.0]));
        let before = error(&plain);
        let on = (&fitted_on, &judging);
        let found = fit_through((&layer, &f), &mut sums, on, (plain, present), Settings::default(), None)?.unwrap();
        assert!(error(&found) < 0.3 * before, "{} {before}", error(&found));
        Ok(())
    }
}
