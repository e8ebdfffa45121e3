//! Models that stay loaded after they were run, in case they are run again.

use std::sync::{Mutex, PoisonError};

/// So many stay at most: an original and what is judged beside it.
const MOST: usize = 4;

/// Loaded models by their hash, the one that was run last at the end.
#[derive(Debug)]
pub(super) struct KeptRunners<R> {
    kept: Mutex<Vec<(blake3::Hash, R)>>,
}

impl<R> Default for KeptRunners<R> {
    fn default() -> Self {
        Self {
            kept: Mutex::new(Vec::new()),
        }
    }
}

impl<R> KeptRunners<R> {
    /// The model as it stayed loaded; it does so no more.
    pub fn take(&self, model: &blake3::Hash) -> Option<R> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(hash, _)| hash == model)?;
        Some(kept.remove(at).1)
    }

    /// Keeps a model, and lets that go which has not been run for longest where they are too many.
    pub fn keep(&self, model: blake3::Hash, runner: R) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(hash, _)| *hash != model);
        if kept.len() >= MOST {
            kept.remove(0);
        }
        kept.push((model, runner));
    }

    /// Lets all go.
    pub fn clear(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{KeptRunners, MOST};

    #[test]
    fn the_last_ones_stay_until_they_are_taken_or_room_is_made() {
        let kept = KeptRunners::default();
        let hash = |n: usize| blake3::hash(&n.to_le_bytes());
        (0..=MOST).for_each(|n| kept.keep(hash(n), n));
        assert_eq!((kept.take(&hash(0)), kept.take(&hash(1))), (None, Some(1)));
        assert_eq!(kept.take(&hash(1)), None);
        kept.keep(hash(1), 1);
        kept.keep(hash(2), 20);
        assert_eq!((kept.take(&hash(2)), kept.take(&hash(1))), (Some(20), Some(1)));
        kept.clear();
        assert_eq!(kept.take(&hash(MOST)), None);
    }
}
