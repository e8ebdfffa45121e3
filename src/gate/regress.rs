//! Least squares with a small ridge: weights that predict targets from features.

use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef, Par, Side};

use super::statistics::Table;

/// Share of the mean diagonal that is added to it.
const RIDGE: f64 = 1e-3;

/// Weights (targets × features) and constants (targets) that predict each row of `targets` from the same row of
/// `features`, with the least squared error: `W = Yᵀ X (Xᵀ X + λ I)⁻¹` on deviations from the means.
/// `None` when the features say nothing.
pub(super) fn fit(features: &Table, targets: &Table) -> Option<(Vec<f32>, Vec<f32>)> {
    let rows = features.rows().min(targets.rows());
    let (mx, my) = (features.means(), targets.means());
    let x = Mat::from_fn(rows, features.width, |r, c| f64::from(features.at(r, c)) - mx[c]);
    let y = Mat::from_fn(rows, targets.width, |r, c| f64::from(targets.at(r, c)) - my[c]);
    let mut square = product(x.as_ref().transpose(), x.as_ref());
    let cross = product(x.as_ref().transpose(), y.as_ref());
    let mean = (0..features.width).map(|i| square[(i, i)]).sum::<f64>() / features.width.max(1) as f64;
    if rows < 2 || mean.is_nan() || mean <= 0.0 {
        return None;
    }
    for i in 0..features.width {
        square[(i, i)] += RIDGE * mean;
    }
    let solved = square.llt(Side::Lower).ok()?.solve(&cross);
    let mut weights = Vec::with_capacity(targets.width * features.width);
    let mut constants = Vec::with_capacity(targets.width);
    for t in 0..targets.width {
        let row: Vec<f64> = (0..features.width).map(|f| solved[(f, t)]).collect();
        constants.push((my[t] - row.iter().zip(&mx).map(|(w, m)| w * m).sum::<f64>()) as f32);
        weights.extend(row.iter().map(|&w| w as f32));
    }
    weights.iter().all(|w| w.is_finite()).then_some((weights, constants))
}

fn product(a: MatRef<f64>, b: MatRef<f64>) -> Mat<f64> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    faer::linalg::matmul::matmul(&mut out, faer::Accum::Replace, a, b, 1.0, Par::rayon(0));
    out
}

#[cfg(test)]
mod tests {
    use super::super::statistics::Table;
    use super::fit;

    #[test]
    fn what_is_linear_is_found() -> Result<(), String> {
        let mut random = fastrand::Rng::with_seed(3);
        let features = Table {
            width: 3,
            values: (0..300).map(|_| random.f32()).collect(),
        };
        let rows = features.values.chunks_exact(3);
        let targets = Table {
            width: 1,
            values: rows.map(|r| 2.0 * r[0] - r[2] + 0.5).collect(),
        };
        let (weights, constants) = fit(&features, &targets).ok_or("no fit")?;
        for (found, right) in weights.iter().chain(&constants).zip([2.0, 0.0, -1.0, 0.5]) {
            assert!((found - right).abs() < 0.02, "{found} for {right}");
        }
        Ok(())
    }
}
