//! A gate that a block could have, and what is known of it.

use std::sync::Arc;

use crate::gate::{AttentionOrigin, Gate, MadeUp};

/// A gate that a block could have.
#[derive(Clone, Debug)]
pub(super) struct GateCandidate {
    pub gate: Gate,
    /// The share of what the block adds that the gate keeps, on samples that its attention was not fitted on.
    pub retained_energy: f64,
    /// Where its attention comes from.
    pub attention: AttentionOrigin,
    /// How the layers that read gated channels make up for what is left out: their nodes, and what they read through.
    pub made_up: Vec<(usize, Arc<MadeUp>)>,
    /// Only timed, to see where gates of its kind break even.
    pub timing_only: bool,
    /// Milliseconds of the dense block with its neighbours, and of the gated one; and whether that is faster.
    pub timed: Option<Timed>,
    /// What the model's outputs lose with this gate alone.
    pub loss: Option<f64>,
}

/// A block's dense and gated time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    pub dense_ms: f64,
    pub gated_ms: f64,
    pub faster: bool,
}

/// Shares that are tried where the user wants none in particular.
pub(super) const SHARES: [f64; 5] = [0.25, 0.375, 0.5, 0.625, 0.75];
/// How far a gate's share may be from the one that is wanted.
pub(super) const NEAR: f64 = 0.08;

/// How many of `parts` to keep; those that are only there to see how time grows with the share are marked.
pub(super) fn counts(parts: usize, shares: &[f64], wanted: Option<f64>) -> Vec<(usize, bool)> {
    let near = |share: f64| {
        let count = ((share * parts as f64).round() as usize).clamp(1, parts);
        ((count as f64 / parts as f64 - share).abs() <= NEAR).then_some(count)
    };
    let mut found: Vec<(usize, bool)> = match wanted {
        None => shares.iter().filter_map(|&s| near(s)).map(|n| (n, false)).collect(),
        Some(share) => {
            let own = near(share);
            let more = own.map(|n| (2 * n).min(parts)).filter(|&m| Some(m) != own);
            own.map(|n| (n, false))
                .into_iter()
                .chain(more.map(|n| (n, true)))
                .collect()
        }
    };
    found.dedup_by_key(|f| f.0);
    found
}

#[cfg(test)]
mod tests {
    use super::{SHARES, counts};

    #[test]
    fn shares_that_do_not_fit_are_left_out() {
        let counts = |parts, wanted| counts(parts, &SHARES, wanted);
        assert_eq!(counts(4, None), [(1, false), (2, false), (3, false)]);
        assert_eq!(counts(16, None).len(), 5);
        assert_eq!(counts(2, Some(0.25)), []);
        assert_eq!(counts(7, Some(0.5)), [(4, false), (7, true)]);
        assert_eq!(counts(2, Some(0.5)), [(1, false), (2, true)]);
        assert_eq!(counts(4, Some(1.0)), [(4, false)]);
    }
}
