//! Which channels of a group go first: those whose loss the layers that read them can make up for best.

use std::collections::BTreeMap;

use faer::Mat;

use super::layer_consumer::LayerConsumer;

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
