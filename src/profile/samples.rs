//! Medians and spreads of repeated times.

use serde::{Deserialize, Serialize};

/// A summary of repeated times, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The median.
    pub median: f64,
    /// The median absolute deviation from the median.
    pub mad: f64,
    /// The least.
    pub min: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// How many.
    pub n: usize,
}

impl Summary {
    /// Half the width of a 95 % interval of the median, for near-normal noise:
    /// 1.96 · 1.253 · 1.4826 · MAD / √n.
    pub fn half_width(&self) -> f64 {
        1.96 * 1.253 * 1.4826 * self.mad / (self.n.max(1) as f64).sqrt()
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The median; 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    let s = sorted(values);
    match s.len() {
        0 => 0.0,
        n if n % 2 == 1 => s[n / 2],
        n => (s[n / 2 - 1] + s[n / 2]) / 2.0,
    }
}

/// The median absolute deviation from the median.
pub fn mad(values: &[f64]) -> f64 {
    let m = median(values);
    median(&values.iter().map(|v| (v - m).abs()).collect::<Vec<_>>())
}

/// Summarizes times.
pub fn summarize(values: &[f64]) -> Summary {
    let s = sorted(values);
    let rank = (0.95 * s.len() as f64).ceil() as usize;
    Summary {
        median: median(&s),
        mad: mad(&s),
        min: s.first().copied().unwrap_or(0.0),
        p95: s.get(rank.saturating_sub(1)).copied().unwrap_or(0.0),
        n: s.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::{mad, median, summarize};

    #[test]
    fn an_outlier_moves_neither_median_nor_mad() {
        let calm = [1.0, 1.1, 0.9, 1.0, 1.05];
        let wild = [1.0, 1.1, 0.9, 1.0, 50.0];
        assert_eq!(median(&calm), 1.0);
        assert_eq!(median(&wild), 1.0);
        assert!((mad(&wild) - 0.1).abs() < 1e-9);
        assert_eq!(summarize(&wild).p95, 50.0);
    }
}
