//! Which channels of a group go first: those whose loss the layers that read them can make up for best.
//!
//! For a reader with weights W (outputs × columns), S = cov(columns) + λI and the columns J of a channel, the rise
//! of the layer's squared error when the channel goes and the others take over what they can is
//! `tr(W_J [(S⁻¹)_JJ]⁻¹ W_Jᵀ)` (the optimal brain surgeon, block by block: Hassibi and Stork, 1993). Removing J then means
//! `W ← W − W_J [(S⁻¹)_JJ]⁻¹ (S⁻¹)_J,:` and `S⁻¹ ← S⁻¹ − (S⁻¹)_:,J [(S⁻¹)_JJ]⁻¹ (S⁻¹)_J,:`, both exact.

use std::collections::BTreeMap;

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
    columns: Vec<Vec<usize>>,
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
    fn score(&self, gone: &[usize]) -> f64 {
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
    fn remove(&mut self, channels: &[usize]) {
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
    fn snapshot(&self) -> Mat<f64> {
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

/// The order in which a group's channels go, and what that costs.
#[derive(Clone, Debug, Default)]
pub struct Ranking {
    /// Channels of the group by number, first to go first; those that never went are missing.
    pub order: Vec<usize>,
    /// Summed relative error of all readers after each number of removals, from 0 removals on.
    pub errors: Vec<f64>,
    /// The readers' weights with so many channels gone, over all columns.
    pub snapshots: BTreeMap<usize, Vec<Mat<f64>>>,
}

/// Channels that go in one step: this share of those that are left, at least one. Their joint removal is exact.
const STEP: usize = 48;

/// Removes channels one after another until `least` are left. `first` go before all others; `keep_at` are numbers
/// of removals whose weights are kept.
pub fn rank(
    mut consumers: Vec<LayerConsumer>,
    channels: usize,
    first: &[usize],
    least: usize,
    keep_at: &[usize],
) -> Ranking {
    let mut left: Vec<usize> = (0..channels).collect();
    let mut ranking = Ranking {
        errors: vec![0.0],
        ..Default::default()
    };
    let mut error = 0.0;
    while left.len() > least.max(1) {
        let forced: Vec<usize> = left.iter().copied().filter(|c| first.contains(c)).collect();
        let pool = if forced.is_empty() { &left } else { &forced };
        let mut scored: Vec<(f64, usize)> = pool
            .iter()
            .map(|&c| (consumers.iter().map(|r| r.score(&r.columns[c])).sum::<f64>(), c))
            .collect();
        scored.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let gone = ranking.order.len();
        let next_stop = keep_at
            .iter()
            .filter(|&&k| k > gone)
            .min()
            .map_or(usize::MAX, |k| k - gone);
        let step = (left.len() / STEP)
            .max(1)
            .min(next_stop)
            .min(left.len() - least.max(1))
            .min(scored.len());
        let batch: Vec<usize> = scored[..step].iter().map(|s| s.1).collect();
        let joint: f64 = consumers
            .iter()
            .map(|r| r.score(&batch.iter().flat_map(|&c| r.columns[c].clone()).collect::<Vec<_>>()))
            .sum();
        for k in 1..=step {
            ranking.errors.push(error + joint * k as f64 / step as f64);
        }
        error += joint;
        consumers.iter_mut().for_each(|r| r.remove(&batch));
        left.retain(|c| !batch.contains(c));
        ranking.order.extend(batch);
        if keep_at.contains(&ranking.order.len()) {
            let weights = consumers.iter().map(LayerConsumer::snapshot).collect();
            ranking.snapshots.insert(ranking.order.len(), weights);
        }
    }
    ranking
}

#[cfg(test)]
mod tests {
    use faer::linalg::solvers::Solve;
    use faer::{Mat, Side};

    use super::{LayerConsumer, rank};

    fn random(rows: usize, columns: usize, seed: u64) -> Mat<f64> {
        let mut random = fastrand::Rng::with_seed(seed);
        Mat::from_fn(rows, columns, |_, _| random.f64() - 0.5)
    }

    /// tr((W − V) S (W − V)ᵀ).
    fn error(w: &Mat<f64>, v: &Mat<f64>, s: &Mat<f64>) -> f64 {
        let d = w - v;
        let e = &d * s * d.transpose();
        (0..e.nrows()).map(|i| e[(i, i)]).sum()
    }

    #[test]
    fn errors_are_those_of_the_best_weights_on_what_is_left() {
        let (channels, taps, outputs) = (7, 3, 5);
        let width = channels * taps;
        let rows = random(60, width, 1);
        let s = rows.transpose() * &rows;
        let w = random(outputs, width, 2);
        let columns: Vec<Vec<usize>> = (0..channels).map(|c| (c * taps..(c + 1) * taps).collect()).collect();
        let ridge = 1e-9;
        let consumer = LayerConsumer::new(w.clone(), s.clone(), ridge, columns.clone());
        let ranking = rank(vec![consumer], channels, &[], 2, &[1, 3, 5]);
        let total = error(&w, &Mat::zeros(outputs, width), &s);
        for removed in [1, 3, 5] {
            let kept: Vec<usize> = (0..channels)
                .filter(|c| !ranking.order[..removed].contains(c))
                .flat_map(|c| columns[c].clone())
                .collect();
            let part = Mat::from_fn(kept.len(), kept.len(), |i, j| s[(kept[i], kept[j])]);
            let right = &w * &s;
            let right = Mat::from_fn(kept.len(), outputs, |i, o| right[(o, kept[i])]);
            let best = part
                .llt(Side::Lower)
                .map(|f| f.solve(&right))
                .unwrap_or_else(|_| right.clone());
            let mut full = Mat::zeros(outputs, width);
            for (i, &k) in kept.iter().enumerate() {
                for o in 0..outputs {
                    full[(o, k)] = best[(i, o)];
                }
            }
            let least = error(&w, &full, &s);
            assert!((ranking.errors[removed] - least / total).abs() < 1e-6, "{removed} gone");
            let kept_weights = &ranking.snapshots[&removed][0];
            assert!((error(&w, kept_weights, &s) - least).abs() < 1e-6 * total);
        }
    }

    #[test]
    fn a_channel_that_another_repeats_costs_nothing_and_goes_first() {
        let mut rows = random(50, 4, 3);
        for r in 0..50 {
            rows[(r, 2)] = 2.0 * rows[(r, 0)];
        }
        let s = rows.transpose() * &rows;
        let columns: Vec<Vec<usize>> = (0..4).map(|c| vec![c]).collect();
        let ranking = rank(
            vec![LayerConsumer::new(random(3, 4, 4), s, 1e-9, columns)],
            4,
            &[],
            1,
            &[],
        );
        assert!(ranking.order[0] == 0 || ranking.order[0] == 2);
        assert!(ranking.errors[1] < 1e-6 && ranking.errors[2] > 1e-3);
    }

    #[test]
    fn what_must_go_first_goes_first() {
        let columns: Vec<Vec<usize>> = (0..5).map(|c| vec![c]).collect();
        let consumer = LayerConsumer::uncorrelated(random(2, 5, 5), &[1.0, 1.0, 9.0, 9.0, 1.0], columns);
        let ranking = rank(vec![consumer], 5, &[3, 2], 1, &[]);
        let mut first = ranking.order[..2].to_vec();
        first.sort_unstable();
        assert_eq!(first, [2, 3]);
        assert!(ranking.errors.is_sorted());
    }
}
