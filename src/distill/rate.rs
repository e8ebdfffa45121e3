//! How many steps fit into a time, and how long each is.

use std::time::Duration;

/// The largest step of a weight, over the root of the mean square of its tensor.
const RATE: f64 = 3e-3;
/// The share of the steps in which the rate rises.
const WARM_UP: f64 = 0.1;
/// Tensors of smaller numbers count as of this size.
const SMALL: f32 = 1e-3;

/// How many steps that take `each` fit into a time.
pub(super) fn fitting(time: Duration, each: Duration) -> usize {
    usize::try_from(time.as_nanos() / each.as_nanos().max(1)).unwrap_or(usize::MAX)
}

/// A rate that rises and then falls as half a cosine (Loshchilov and Hutter, 2017).
pub(super) fn rate(step: usize, of: usize) -> f64 {
    let (step, of) = (step as f64, of.max(1) as f64);
    let rise = ((step + 1.0) / (WARM_UP * of).max(1.0)).min(1.0);
    RATE * rise * 0.5 * (1.0 + (std::f64::consts::PI * step / of).cos())
}

/// The root of the mean square: layers with many inputs have small weights, which take small steps (You et al., 2020).
pub(super) fn size(weights: &[f32]) -> f32 {
    let squares: f32 = weights.iter().map(|w| w * w).sum();
    (squares / weights.len().max(1) as f32).sqrt().max(SMALL)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{RATE, fitting, rate};

    #[test]
    fn as_many_steps_as_fit() {
        let ms = Duration::from_millis;
        assert_eq!((fitting(ms(1000), ms(30)), fitting(ms(10), ms(30))), (33, 0));
        assert_eq!(fitting(Duration::MAX, Duration::ZERO), usize::MAX);
    }

    #[test]
    fn the_rate_rises_and_falls() {
        assert!(rate(0, 100) < 0.2 * RATE && rate(10, 100) > 0.9 * RATE);
        assert!(rate(99, 100) < 0.01 * RATE && rate(0, 1) > 0.0);
    }
}
