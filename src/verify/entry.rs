//! The times of one model of an interleaved benchmark, and how it compares with the first.

use serde::{Deserialize, Serialize};

use crate::profile::{Summary, median, summarize};

/// One model's times.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Every time, in milliseconds.
    pub samples: Vec<f64>,
    /// Time over the first model's time of the same round.
    pub ratios: Vec<f64>,
    /// The median ratio of each block; every block has fresh sessions.
    pub block_ratios: Vec<f64>,
    /// The median time of each block, in milliseconds.
    pub block_ms: Vec<f64>,
}

/// How a model compares with the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Faster beyond the noise.
    Faster,
    /// The difference is within the noise.
    Same,
    /// Slower beyond the noise.
    Slower,
}

impl Entry {
    /// Summary of the times.
    pub fn summary(&self) -> Summary {
        summarize(&self.samples)
    }

    /// Median of the ratios to the first model.
    pub fn ratio(&self) -> f64 {
        median(&self.ratios)
    }

    /// Half the width of a 95 % interval of the ratio, at least 0.5 %.
    pub fn ratio_noise(&self) -> f64 {
        summarize(&self.ratios).half_width().max(0.005)
    }

    /// By how much the slowest block took longer than the fastest, as a share; of one block nothing is known.
    pub fn drift(&self) -> Option<f64> {
        if self.block_ms.len() < 2 {
            return None;
        }
        let least = self.block_ms.iter().copied().reduce(f64::min)?;
        let most = self.block_ms.iter().copied().reduce(f64::max)?;
        Some(most / least.max(1e-12) - 1.0)
    }

    /// Faster only if the interval lies below 1 and so does every block.
    pub fn verdict(&self) -> Verdict {
        let (ratio, noise) = (self.ratio(), self.ratio_noise());
        if ratio + noise < 1.0 && self.block_ratios.iter().all(|&r| r < 1.0) {
            Verdict::Faster
        } else if ratio - noise > 1.0 && self.block_ratios.iter().all(|&r| r > 1.0) {
            Verdict::Slower
        } else {
            Verdict::Same
        }
    }
}
