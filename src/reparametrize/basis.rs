//! The directions of a trunk, those that its readers feel most first.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

/// Added to the diagonal of a covariance, over its mean: directions without any variance have an inverse too.
const RIDGE: f64 = 1e-7;

/// An invertible matrix between channels and directions.
#[derive(Clone, Debug)]
pub struct Basis {
    /// Directions × channels: what values become.
    pub into: Mat<f64>,
    /// Channels × directions, its inverse.
    pub back: Mat<f64>,
    /// What the readers' squared errors rise by when a direction goes, in the order of the directions, descending.
    pub spectrum: Vec<f64>,
}

impl Basis {
    /// With L Lᵀ the covariance S of the channels and M the sum of the readers' WᵀW: the eigenvectors V of Lᵀ M L give
    /// `into` = Vᵀ L⁻¹ and `back` = L V. Directions then have no correlation and a variance of one. `None` where a covariance is no
    /// number or has none.
    pub fn new(covariance: &Mat<f64>, importance: &Mat<f64>) -> Option<Self> {
        let n = covariance.nrows();
        let mean = (0..n).map(|i| covariance[(i, i)]).sum::<f64>() / n as f64;
        if !(mean.is_finite() && mean > 0.0) {
            return None;
        }
        let damped = Mat::from_fn(n, n, |i, j| {
            covariance[(i, j)] + if i == j { RIDGE * mean } else { 0.0 }
        });
        let factor = damped.llt(Side::Lower).ok()?;
        let lower = factor.L().to_owned();
        let felt = lower.transpose() * importance * &lower;
        let felt = Mat::from_fn(n, n, |i, j| 0.5 * (felt[(i, j)] + felt[(j, i)]));
        let eigen = felt.self_adjoint_eigen(Side::Lower).ok()?;
        let values: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let vectors = eigen.U();
        let sorted = Mat::from_fn(n, n, |i, j| vectors[(i, order[j])]);
        let back = &lower * &sorted;
        // S⁻¹ L V = L⁻ᵀ V.
        let into = factor.solve(&back).transpose().to_owned();
        let finite = |m: &Mat<f64>| m.col_iter().all(|c| c.iter().all(|v| v.is_finite()));
        let found = Self {
            spectrum: order.iter().map(|&i| values[i].max(0.0)).collect(),
            into,
            back,
        };
        (finite(&found.into) && finite(&found.back)).then_some(found)
    }

    /// The principal components of a covariance: all channels matter alike.
    pub fn principal(covariance: &Mat<f64>) -> Option<Self> {
        let n = covariance.nrows();
        Self::new(covariance, &Mat::identity(n, n))
    }

    /// How many directions are needed for all but a share of the spectrum.
    pub fn rank(&self, share: f64) -> usize {
        let whole: f64 = self.spectrum.iter().sum();
        let mut left = whole;
        let needed = self.spectrum.iter().take_while(|s| {
            let more = left > share * whole;
            left -= **s;
            more
        });
        needed.count().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::Basis;
    use faer::Mat;

    #[test]
    fn directions_are_whitened_sorted_and_invertible() {
        let n = 6;
        let mut random = fastrand::Rng::with_seed(5);
        let mut any = || Mat::<f64>::from_fn(n, n, |_, _| random.f64() - 0.5);
        let (a, w) = (any(), any());
        let (s, m) = (&a * a.transpose(), w.transpose() * &w);
        let basis = Basis::new(&s, &m).map(|b| {
            let one = &b.into * &b.back;
            let white = &b.into * &s * b.into.transpose();
            let felt = b.back.transpose() * &m * &b.back;
            for i in 0..n {
                for j in 0..n {
                    let unit = f64::from(u8::from(i == j));
                    assert!((one[(i, j)] - unit).abs() < 1e-6, "{}", one[(i, j)]);
                    assert!((white[(i, j)] - unit).abs() < 1e-3, "{}", white[(i, j)]);
                    assert!((felt[(i, j)] - unit * b.spectrum[i]).abs() < 1e-6);
                }
            }
            assert!(b.spectrum.is_sorted_by(|a, b| a >= b));
            assert_eq!(b.rank(0.0), n);
            assert_eq!(b.rank(0.9999), 1);
        });
        assert!(basis.is_some());
        assert!(Basis::new(&Mat::zeros(3, 3), &Mat::zeros(3, 3)).is_none());
    }
}
