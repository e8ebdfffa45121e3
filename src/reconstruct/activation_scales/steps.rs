//! The scale and the zero point for a range.

use super::histogram::Reach;
use super::quantizers::{Ends, SharedScale};

/// A scale and a zero point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Steps {
    pub scale: f32,
    pub zero: i64,
}

/// Scales that differ by less are the same.
const NEAR: f32 = 1e-3;

impl Steps {
    /// Whether they are those that quantizers have.
    pub fn are_near(self, shared: &SharedScale) -> bool {
        self.zero == shared.zero && (self.scale / shared.scale - 1.0).abs() < NEAR
    }
}

/// Those that hold a range, no further than ends that cut values off; a zero point in the middle of the type stays there, and one that is not
/// stored is zero. `None` where a
/// range has no extent.
pub(super) fn chosen(shared: &SharedScale, ends: Ends, reach: Reach) -> Option<Steps> {
    let (least, most) = shared.limits;
    let (was_low, was_high) = shared.range();
    let low = if ends.low { reach.low.max(was_low) } else { reach.low }.min(0.0);
    let high = if ends.high {
        reach.high.min(was_high)
    } else {
        reach.high
    }
    .max(0.0);
    let middle = (least + most + 1) / 2;
    let steps = match shared.without_zero || shared.zero == middle || shared.zero + 1 == middle {
        true => {
            // Integers without a sign hold nothing below zero.
            let below = (shared.zero - least) as f32;
            let below = if below > 0.0 { -low / below } else { 0.0 };
            Steps {
                scale: (high / (most - shared.zero) as f32).max(below),
                zero: shared.zero,
            }
        }
        false => {
            let scale = (high - low) / (most - least) as f32;
            let zero = (least as f32 - low / scale).round_ties_even();
            Steps {
                scale,
                zero: (zero as i64).clamp(least, most),
            }
        }
    };
    steps.scale.is_normal().then_some(steps)
}

#[cfg(test)]
mod tests {
    use super::{Ends, Reach, SharedScale, Steps, chosen};

    fn shared(scale: f32, zero: i64) -> SharedScale {
        SharedScale {
            quantizers: Vec::new(),
            scale,
            zero,
            limits: (-128, 127),
            without_zero: false,
        }
    }

    #[test]
    fn a_zero_point_that_is_not_stored_stays_zero() {
        let unsigned = SharedScale {
            limits: (0, 255),
            without_zero: true,
            ..shared(0.3, 0)
        };
        let steps = chosen(&unsigned, Ends::default(), Reach { low: -4.0, high: 5.1 });
        assert!(
            steps.is_some_and(|s| s.zero == 0 && (s.scale - 0.02).abs() < 1e-6),
            "{steps:?}"
        );
        let below = chosen(&unsigned, Ends::default(), Reach { low: -4.0, high: -1.0 });
        assert_eq!(below, None);
    }

    #[test]
    fn ends_that_cut_values_off_hold_and_others_follow() {
        let wide = Reach { low: -3.0, high: 12.75 };
        // A folded Relu6: zero below, six above.
        let relu6 = shared(6.0 / 255.0, -128);
        let both = Ends { low: true, high: true };
        assert!(chosen(&relu6, both, wide).is_some_and(|s| s.are_near(&relu6)));
        let below = Ends { low: true, high: false };
        assert_eq!(
            chosen(&relu6, below, wide),
            Some(Steps {
                scale: 0.05,
                zero: -128
            })
        );
        let half = Reach { low: -3.0, high: 3.0 };
        let steps = chosen(&relu6, both, half);
        assert!(
            steps.is_some_and(|s| s.zero == -128 && (s.scale - 3.0 / 255.0).abs() < 1e-6),
            "{steps:?}"
        );
        let open = chosen(
            &relu6,
            Ends::default(),
            Reach {
                low: -6.375,
                high: 6.375,
            },
        );
        assert_eq!(open.map(|s| s.scale), Some(0.05));
    }

    #[test]
    fn symmetric_quantizers_stay_symmetric() {
        let steps = chosen(&shared(0.3, 0), Ends::default(), Reach { low: -1.0, high: 12.7 });
        assert!(
            steps.is_some_and(|s| s.zero == 0 && (s.scale - 0.1).abs() < 1e-6),
            "{steps:?}"
        );
        assert_eq!(
            chosen(&shared(0.3, 0), Ends::default(), Reach { low: 0.0, high: 0.0 }),
            None
        );
    }
}
