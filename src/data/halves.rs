//! Samples in two halves: one to search on, one to judge what was found.

use super::Dataset;

/// So few samples are not divided.
const LEAST: usize = 8;

impl Dataset {
    /// Two halves that share no sample, drawn at random; `None` where there are too few for runs of their own.
    pub fn halves(&self, seed: u64) -> Option<(Self, Self)> {
        let half = self.count / 2;
        if self.count < LEAST || half < self.batch {
            return None;
        }
        let mut order: Vec<usize> = (0..self.count).collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut order);
        let (first, second) = order.split_at_mut(half);
        first.sort_unstable();
        second.sort_unstable();
        Some((self.clone().only(first), self.clone().only(second)))
    }
}
