//! How many samples a run holds.

use super::source::StoredSamples;
use crate::device::InputSpec;

/// Samples in a run where the model leaves its batch open.
pub(super) const BATCH: usize = 50;

/// Samples in a run where a run may hold any number: such that there are at least a few runs, of which some can be held out, and that all are
/// alike if the samples allow it, as a session on a GPU chooses its kernels anew for every other shape.
pub(super) fn even_batch(count: usize) -> usize {
    let most = BATCH.min(count.div_ceil(5)).max(1);
    (most.div_ceil(2)..=most)
        .rev()
        .find(|&batch| count.is_multiple_of(batch))
        .unwrap_or(most)
}

/// The most samples up to so many that make runs of an even batch.
pub(super) fn alike(most: usize) -> usize {
    let whole = (BATCH.div_ceil(2)..=BATCH).map(|batch| most - most % batch).max();
    whole.filter(|&n| n > 0).unwrap_or(most)
}

/// Whether runs may hold any number of samples, and the number that one holds at the model's own extents (at least 1).
pub(super) fn batch_of(specs: &[InputSpec], sources: &[StoredSamples]) -> (bool, usize) {
    let axis = |k: usize| match sources.get(k) {
        Some(StoredSamples::Shared(_)) => None,
        Some(StoredSamples::Values(_, axis)) => Some(*axis),
        Some(StoredSamples::Images(_)) | None => Some(0),
    };
    let batched: Vec<(&InputSpec, usize)> = specs
        .iter()
        .enumerate()
        .filter(|(_, s)| !s.dims.is_empty())
        .filter_map(|(k, s)| Some((s, axis(k)?)))
        .collect();
    let open = !batched.is_empty() && batched.iter().all(|(s, axis)| s.open.contains(axis));
    let fixed = batched.iter().find(|(s, axis)| !s.open.contains(axis));
    let own = fixed.or(batched.first()).and_then(|(s, axis)| s.dims.get(*axis));
    (open, own.copied().unwrap_or(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::{alike, even_batch};

    #[test]
    fn runs_are_alike_where_the_samples_allow_it() {
        for (count, batch) in [
            (512, 32),
            (500, 50),
            (1024, 32),
            (1030, 50),
            (64, 8),
            (3, 1),
            (1, 1),
            (0, 1),
        ] {
            assert_eq!(even_batch(count), batch, "{count}");
        }
        for (most, taken) in [(278, 276), (447, 444), (50, 50), (7, 7), (1, 1)] {
            assert_eq!(alike(most), taken, "{most}");
        }
    }
}
