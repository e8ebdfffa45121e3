//! What least squares on few samples of many channels need.

use faer::Mat;

use crate::score::column_sums;

/// λ over the mean of the variances of what is let through: the first one, and greater ones as long as these keep more on samples held out. Few samples of many channels
/// need more.
pub(super) const DAMPING: [f64; 4] = [1e-3, 1e-2, 0.1, 1.0];

/// Means of the columns.
pub(super) fn means(rows: &[f32], width: usize) -> Vec<f64> {
    let count = (rows.len() / width.max(1)).max(1) as f64;
    column_sums(rows, width).into_iter().map(|s| s / count).collect()
}

/// Rows of single precision as a matrix of double.
pub(super) fn doubled(rows: &[f32], width: usize) -> Mat<f64> {
    Mat::from_fn(rows.len() / width.max(1), width, |r, j| f64::from(rows[r * width + j]))
}

/// The mean of what is positive on a diagonal.
pub(super) fn mean_of_diagonal(square: &Mat<f64>) -> f64 {
    let present = (0..square.nrows()).map(|i| square[(i, i)]).filter(|&v| v > 0.0);
    let (sum, count) = present.fold((0.0, 0.0), |(s, n), v| (s + v, n + 1.0));
    sum / f64::max(count, 1.0)
}

/// A matrix of variances with a share of their mean on its diagonal.
pub(super) fn damped(mut square: Mat<f64>, damping: f64) -> Mat<f64> {
    let lambda = (damping * mean_of_diagonal(&square)).max(1e-12);
    (0..square.nrows()).for_each(|i| square[(i, i)] += lambda);
    square
}
