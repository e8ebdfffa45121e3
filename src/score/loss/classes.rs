//! Rows of classes: Kullback-Leibler divergence, softened.
//!
//! A classifier that is sure of its samples hardly diverges before what is done to it adds up to its margins: what parts lose one by one says
//! little of what they lose together. So both models' classes are compared at a temperature T (Hinton et al., 2015) at which the original is half sure, and the
//! divergence times T², which is that of small changes at any temperature, adds up as the variances of the changes do.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSlice;

use super::columns::relative_error;

/// How rows of classes are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    /// Values before normalization.
    Logits,
    /// Probabilities.
    Probabilities,
}

/// Rows of classes, and the temperature at which they are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rows {
    pub form: Form,
    pub classes: usize,
    pub temperature: f64,
    /// Probabilities below count as this one: the least positive one of the original, as a rounded one may be 0.
    pub floor: f64,
}

/// Temperatures that are tried, by halves of powers of two: the highest is for logits of a million.
const TEMPERATURES: i32 = 40;

/// A classifier whose values hardly differ between classes diverges little whatever is done to it; a small share of
/// the values' own error tells such plans apart.
pub(super) const VALUES_SHARE: f64 = 0.01;

impl Rows {
    /// How the original's rows are compared: as probabilities, if all rows are, else as logits, at the first temperature (1 or more) at which its
    /// best class has no more than half of what there is between an equal share and all, on average.
    pub fn of(values: &[f32], classes: usize) -> Self {
        let normal = |row: &[f32]| row.iter().all(|&p| p >= 0.0) && (row.iter().sum::<f32>() - 1.0).abs() < 1e-3;
        let form = match values.chunks_exact(classes).all(normal) {
            true => Form::Probabilities,
            false => Form::Logits,
        };
        let least = values
            .iter()
            .copied()
            .filter(|&p| p > 0.0)
            .fold(f32::INFINITY, f32::min);
        let floor = if least.is_finite() {
            f64::from(least).max(1e-12)
        } else {
            1e-12
        };
        let half = 0.5 + 0.5 / classes as f64;
        let at = |temperature| Self {
            form,
            classes,
            temperature,
            floor,
        };
        // The higher the temperature, the less sure.
        let (mut least, mut most) = (0, TEMPERATURES);
        while least < most {
            let middle = (least + most) / 2;
            match at(2.0f64.powf(0.5 * f64::from(middle))).sureness(values) <= half {
                true => most = middle,
                false => least = middle + 1,
            }
        }
        at(2.0f64.powf(0.5 * f64::from(least)))
    }

    /// The mean share of the best class.
    fn sureness(self, values: &[f32]) -> f64 {
        let best = |row: &[f32]| self.logs(row).into_iter().fold(0.0f64, |most, l| most.max(l.exp()));
        let rows: Vec<f64> = values.par_chunks_exact(self.classes).map(best).collect();
        rows.iter().sum::<f64>() / (rows.len() as f64).max(1.0)
    }

    /// The logarithms of a row's shares at the temperature.
    fn logs(self, row: &[f32]) -> Vec<f64> {
        let value = |&v: &f32| match self.form {
            Form::Logits => f64::from(v),
            Form::Probabilities => f64::from(v).max(self.floor).ln(),
        };
        let values: Vec<f64> = row.iter().map(|v| value(v) / self.temperature).collect();
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_sum = values.iter().map(|v| (v - most).exp()).sum::<f64>().ln();
        values.into_iter().map(|v| v - most - log_sum).collect()
    }

    /// The mean divergence of rows, and a little of the values' own error.
    pub fn distance(self, before: &[f32], after: &[f32]) -> f64 {
        self.temperature.powi(2) * self.divergence(before, after) + VALUES_SHARE * relative_error(before, after)
    }

    /// Mean over rows of Σ p (ln p − ln q).
    fn divergence(self, before: &[f32], after: &[f32]) -> f64 {
        let rows = before
            .par_chunks_exact(self.classes)
            .zip(after.par_chunks_exact(self.classes));
        let of_row = |(p, q): (&[f32], &[f32])| -> f64 {
            let (p, q) = (self.logs(p), self.logs(q));
            // A class that the original rules out adds nothing.
            let terms = p.iter().zip(&q).filter(|(a, _)| a.is_finite());
            terms.map(|(a, b)| a.exp() * (a - b)).sum()
        };
        let of_rows: Vec<f64> = rows.map(of_row).collect();
        of_rows.iter().sum::<f64>() / (of_rows.len() as f64).max(1.0)
    }
}
