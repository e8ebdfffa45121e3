//! What a number of samples can tell of a drop.

use serde::{Deserialize, Serialize};

/// The range that a share lies in with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its least value.
    pub low: f64,
    /// Its greatest value.
    pub high: f64,
}

/// The 0.975 quantile of the normal distribution.
const Z: f64 = 1.959_964;

impl Interval {
    /// Of a difference of two shares of the same `samples`, of which `lost` count for the first only and `won` for the second only:
    /// (lost − won) / samples, by Wald's interval with half a sample added to each kind (Agresti and Min, Statistics in Medicine
    /// 24, 2005).
    pub fn of_paired(lost: usize, won: usize, samples: usize) -> Self {
        let (lost, won, n) = (lost as f64 + 0.5, won as f64 + 0.5, samples as f64 + 2.0);
        let difference = (lost - won) / n;
        let variance = (lost + won - (lost - won).powi(2) / n).max(0.0) / (n * n);
        let half = Z * variance.sqrt();
        Self {
            low: difference - half,
            high: difference + half,
        }
    }

    /// Of a share: `count` of `samples`, by Wilson's score interval (1927).
    pub fn of_share(count: usize, samples: usize) -> Self {
        let n = samples.max(1) as f64;
        let p = count as f64 / n;
        let spread = 1.0 + Z * Z / n;
        let middle = (p + Z * Z / (2.0 * n)) / spread;
        let half = Z / spread * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).max(0.0).sqrt();
        Self {
            low: (middle - half).max(0.0),
            high: (middle + half).min(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Interval;

    #[test]
    fn intervals_are_those_of_the_formulas() {
        // Wilson: 10 of 100 gives 5.52 % to 17.44 %.
        let share = Interval::of_share(10, 100);
        assert!(
            (share.low - 0.0552).abs() < 1e-4 && (share.high - 0.1744).abs() < 1e-4,
            "{share:?}"
        );
        // Nothing seen in a hundred samples is not nothing.
        assert!((Interval::of_share(0, 100).high - 0.0370).abs() < 1e-4);
        let paired = Interval::of_paired(30, 20, 1000);
        assert!(paired.low < 0.01 && paired.high > 0.01);
        assert!((paired.high - paired.low - 2.0 * 0.01393).abs() < 2e-4, "{paired:?}");
        let none = Interval::of_paired(0, 0, 100);
        assert!(none.low < 0.0 && none.high > 0.01);
    }

    /// Of many drawn data sets the interval holds the truth in about 95 of 100.
    #[test]
    fn the_truth_lies_within_as_often_as_said() {
        let mut random = fastrand::Rng::with_seed(4);
        let (truth_lost, truth_won, n, tries) = (0.02, 0.012, 800, 2000u32);
        let mut held = 0u32;
        for _ in 0..tries {
            let (mut lost, mut won) = (0, 0);
            for _ in 0..n {
                let u = random.f64();
                lost += usize::from(u < truth_lost);
                won += usize::from(u > 1.0 - truth_won);
            }
            let found = Interval::of_paired(lost, won, n);
            held += u32::from((found.low..=found.high).contains(&(truth_lost - truth_won)));
        }
        let share = f64::from(held) / f64::from(tries);
        assert!((0.93..=0.98).contains(&share), "{share}");
    }
}
