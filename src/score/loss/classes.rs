//! Rows of classes: nats of Kullback-Leibler divergence.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSlice;

use super::columns::relative_error;

/// How rows of classes are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rows {
    /// Values of so many classes before normalization.
    Logits(usize),
    /// Probabilities of so many classes.
    Probabilities(usize),
}

/// A classifier whose values hardly differ between classes diverges little whatever is done to it; a small share of
/// the values' own error tells such plans apart.
pub(super) const VALUES_SHARE: f64 = 0.01;

impl Rows {
    /// Probabilities, if all rows are; else logits.
    pub fn of(values: &[f32], classes: usize) -> Self {
        let normal = |row: &[f32]| row.iter().all(|&p| p >= 0.0) && (row.iter().sum::<f32>() - 1.0).abs() < 1e-3;
        if values.chunks_exact(classes).all(normal) {
            Self::Probabilities(classes)
        } else {
            Self::Logits(classes)
        }
    }

    /// Classes.
    pub fn classes(self) -> usize {
        let (Self::Logits(classes) | Self::Probabilities(classes)) = self;
        classes
    }

    /// The mean divergence of rows, and a little of the values' own error.
    pub fn distance(self, before: &[f32], after: &[f32]) -> f64 {
        let nats = match self {
            Self::Logits(classes) => divergence(before, after, classes, log_softmax),
            Self::Probabilities(classes) => divergence(before, after, classes, |row| {
                row.iter().map(|&p| f64::from(p).max(1e-12).ln()).collect()
            }),
        };
        nats + VALUES_SHARE * relative_error(before, after)
    }
}

/// Mean over rows of Σ p (ln p − ln q).
fn divergence(before: &[f32], after: &[f32], classes: usize, logs: impl Fn(&[f32]) -> Vec<f64> + Sync) -> f64 {
    let rows = before.par_chunks_exact(classes).zip(after.par_chunks_exact(classes));
    let of_row = |(p, q): (&[f32], &[f32])| -> f64 {
        let (p, q) = (logs(p), logs(q));
        // A class that the original rules out adds nothing.
        let terms = p.iter().zip(&q).filter(|(a, _)| a.is_finite());
        terms.map(|(a, b)| a.exp() * (a - b)).sum()
    };
    let of_rows: Vec<f64> = rows.map(of_row).collect();
    of_rows.iter().sum::<f64>() / (of_rows.len() as f64).max(1.0)
}

fn log_softmax(row: &[f32]) -> Vec<f64> {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let log_sum = row.iter().map(|&v| f64::from(v - most).exp()).sum::<f64>().ln();
    row.iter().map(|&v| f64::from(v - most) - log_sum).collect()
}
