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
        let (first, second) = order.split_at(half);
        Some((self.only(first), self.only(second)))
    }

    /// Some of the samples, in their order.
    fn only(&self, picked: &[usize]) -> Self {
        let mut picked = picked.to_vec();
        picked.sort_unstable();
        let mut some = self.clone();
        for (_, source, _) in &mut some.inputs {
            source.pick(&picked);
        }
        some.labels = self.labels.as_ref().map(|l| picked.iter().map(|&i| l[i]).collect());
        some.count = picked.len();
        some
    }
}
