//! One weight matrix that reads a group's channels, and what removing some of them costs it.
//!
//! For a reader with weights W (outputs × columns), S = cov(columns) + λI and the columns J of a channel, the rise
//! of the layer's squared error when the channel goes and the others take over what they can is
//! `tr(W_J [(S⁻¹)_JJ]⁻¹ W_Jᵀ)` (the optimal brain surgeon, block by block: Hassibi and Stork, 1993). Removing J then means
//! `W ← W − W_J [(S⁻¹)_JJ]⁻¹ (S⁻¹)_J,:` and `S⁻¹ ← S⁻¹ − (S⁻¹)_:,J [(S⁻¹)_JJ]⁻¹ (S⁻¹)_J,:`, both exact.

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::{DenseSolveCore, Solve};
use faer::{Accum, Mat, Par, Side};

/// One weight matrix that reads a group's channels.
#[derive(Clone, Debug)]
pub struct LayerConsumer {
    /// Outputs × columns; columns of channels that went are zero.
    weights: Mat<f64>,
    /// (S + λI)⁻¹ of the columns that are left, or the covariance itself where only blocks of it count.
    spread: Spread,
    /// For each channel of the group, its columns among those that are left; empty where it is not read here.
    pub(super) columns: Vec<Vec<usize>>,
    /// For each column held, its place among all, and whether it went.
    original: Vec<usize>,
    gone: Vec<bool>,
    /// All columns.
    width: usize,
    /// One over the layer's output variance: errors are relative.
    weight: f64,
    /// The sum of squares of each column, where columns count as uncorrelated; empty elsewhere.
    energies: Vec<f64>,
}

#[derive(Clone, Debug)]
enum Spread {
    Inverse(Mat<f64>),
    Blocks(Mat<f64>),
}

impl LayerConsumer {
    /// A reader with the covariance of its columns. `ridge` is λ over the mean of the covariance's diagonal.
    /// `columns` holds each channel's columns.
    pub fn new(weights: Mat<f64>, covariance: Mat<f64>, ridge: f64, columns: Vec<Vec<usize>>) -> Self {
        let width = weights.ncols();
        let weight = one_over_variance(&weights, &covariance);
        let mean = (0..width).map(|i| covariance[(i, i)]).sum::<f64>() / width.max(1) as f64;
        let lambda = (ridge * mean).max(1e-12);
        let damped = Mat::from_fn(width, width, |i, j| {
            covariance[(i, j)] + if i == j { lambda } else { 0.0 }
        });
        let spread = match damped.llt(Side::Lower) {
            Ok(factor) => Spread::Inverse(factor.inverse()),
            Err(_) => Spread::Blocks(covariance),
        };
        Self {
            weights,
            spread,
            columns,
            original: (0..width).collect(),
            gone: vec![false; width],
            width,
            weight,
            energies: Vec::new(),
        }
    }

    /// A reader whose columns count as uncorrelated: what is known without data, or fits no memory.
    /// `variance` is that of each column.
    pub fn uncorrelated(weights: Mat<f64>, variance: &[f64], columns: Vec<Vec<usize>>) -> Self {
        let width = weights.ncols();
        let spread = Mat::from_fn(width, 1, |i, _| variance[i]);
        let energies: Vec<f64> = (0..width).map(|j| energy(&weights, j)).collect();
        let output: f64 = energies.iter().zip(variance).map(|(e, v)| e * v).sum();
        Self {
            weights,
            spread: Spread::Blocks(spread),
            columns,
            original: (0..width).collect(),
            gone: vec![false; width],
            width,
            weight: 1.0 / output.max(f64::MIN_POSITIVE),
            energies,
        }
    }

    /// The rise of the relative error when these columns go.
    pub(super) fn score(&self, gone: &[usize]) -> f64 {
        if gone.is_empty() {
            return 0.0;
        }
        if let Spread::Blocks(s) = &self.spread
            && !self.energies.is_empty()
        {
            // Columns that go their own ways lose what each loses alone.
            let alone = gone.iter().map(|&j| self.energies[j] * s[(j, 0)]).sum::<f64>();
            return alone.max(0.0) * self.weight;
        }
        let n = gone.len();
        let products = Mat::from_fn(n, n, |a, b| {
            let (x, y) = (self.weights.col(gone[a]), self.weights.col(gone[b]));
            x.iter().zip(y.iter()).map(|(p, q)| p * q).sum::<f64>()
        });
        let rise = match &self.spread {
            Spread::Inverse(inverse) => {
                let block = Mat::from_fn(n, n, |a, b| inverse[(gone[a], gone[b])]);
                match block.llt(Side::Lower) {
                    Ok(factor) => trace(&factor.solve(&products)),
                    Err(_) => f64::INFINITY,
                }
            }
            Spread::Blocks(s) => {
                let block = Mat::from_fn(n, n, |a, b| s[(gone[a], gone[b])]);
                trace(&(block * products))
            }
        };
        rise.max(0.0) * self.weight
    }

    /// Takes columns out; the others take over.
    pub(super) fn remove(&mut self, channels: &[usize]) {
        let gone: Vec<usize> = channels.iter().flat_map(|&c| self.columns[c].clone()).collect();
        if gone.is_empty() {
            return;
        }
        if let Spread::Inverse(inverse) = &mut self.spread {
            let (n, width) = (gone.len(), inverse.ncols());
            let block = Mat::from_fn(n, n, |a, b| inverse[(gone[a], gone[b])]);
            let rows = Mat::from_fn(n, width, |a, j| inverse[(gone[a], j)]);
            if let Ok(factor) = block.llt(Side::Lower) {
                let solved = factor.solve(&rows);
                let own = Mat::from_fn(self.weights.nrows(), n, |o, a| self.weights[(o, gone[a])]);
                let par = Par::rayon(0);
                matmul(self.weights.as_mut(), Accum::Add, &own, &solved, -1.0, par);
                matmul(inverse.as_mut(), Accum::Add, rows.transpose(), &solved, -1.0, par);
            }
        }
        for &j in &gone {
            self.weights.col_mut(j).fill(0.0);
            self.gone[j] = true;
        }
        channels.iter().for_each(|&c| self.columns[c].clear());
        if self.gone.iter().filter(|&&g| g).count() * 10 > self.gone.len() * 3 {
            self.compact();
        }
    }

    /// Drops rows and columns of what went.
    fn compact(&mut self) {
        let keep: Vec<usize> = (0..self.original.len()).filter(|&j| !self.gone[j]).collect();
        let mut place = vec![usize::MAX; self.original.len()];
        keep.iter().enumerate().for_each(|(new, &old)| place[old] = new);
        let picked = |m: &Mat<f64>| Mat::from_fn(keep.len(), keep.len(), |i, j| m[(keep[i], keep[j])]);
        self.spread = match &self.spread {
            Spread::Inverse(s) => Spread::Inverse(picked(s)),
            Spread::Blocks(s) if s.ncols() == 1 => Spread::Blocks(Mat::from_fn(keep.len(), 1, |i, _| s[(keep[i], 0)])),
            Spread::Blocks(s) => Spread::Blocks(picked(s)),
        };
        self.weights = Mat::from_fn(self.weights.nrows(), keep.len(), |o, j| self.weights[(o, keep[j])]);
        if !self.energies.is_empty() {
            self.energies = keep.iter().map(|&j| self.energies[j]).collect();
        }
        self.original = keep.iter().map(|&j| self.original[j]).collect();
        self.gone = vec![false; keep.len()];
        for list in &mut self.columns {
            list.iter_mut().for_each(|j| *j = place[*j]);
        }
    }

    /// The weights over all columns, zero for what went.
    pub(super) fn snapshot(&self) -> Mat<f64> {
        let mut all = Mat::zeros(self.weights.nrows(), self.width);
        for (j, &at) in self.original.iter().enumerate() {
            all.col_mut(at).copy_from(self.weights.col(j));
        }
        all
    }
}

fn energy(weights: &Mat<f64>, column: usize) -> f64 {
    weights.col(column).iter().map(|w| w * w).sum()
}

fn trace(m: &Mat<f64>) -> f64 {
    (0..m.nrows()).map(|i| m[(i, i)]).sum()
}

/// One over tr(W S Wᵀ).
fn one_over_variance(weights: &Mat<f64>, covariance: &Mat<f64>) -> f64 {
    let spread = weights * covariance;
    let mut sum = 0.0;
    for j in 0..weights.ncols() {
        sum += weights
            .col(j)
            .iter()
            .zip(spread.col(j).iter())
            .map(|(a, b)| a * b)
            .sum::<f64>();
    }
    1.0 / sum.max(f64::MIN_POSITIVE)
}
