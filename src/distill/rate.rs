//! How long a step is.

/// Rates that are tried: the largest step of a weight, over the root of the mean square of its tensor.
pub(super) const RATES: [f64; 4] = [3e-3, 1e-3, 3e-4, 1e-4];
/// The share of the steps in which the rate rises.
const WARM_UP: f64 = 0.1;
/// Tensors of smaller numbers count as of this size.
const SMALL: f32 = 1e-3;

/// A rate that rises and then falls as half a cosine (Loshchilov and Hutter, 2017).
pub(super) fn rate(most: f64, step: usize, of: usize) -> f64 {
    let (step, of) = (step as f64, of.max(1) as f64);
    let rise = ((step + 1.0) / (WARM_UP * of).max(1.0)).min(1.0);
    most * rise * 0.5 * (1.0 + (std::f64::consts::PI * step / of).cos())
}

/// The root of the mean square: layers with many inputs have small weights, which take small steps (You et al., 2020).
pub(super) fn size(weights: &[f32]) -> f32 {
    let squares: f32 = weights.iter().map(|w| w * w).sum();
    (squares / weights.len().max(1) as f32).sqrt().max(SMALL)
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn the_rate_rises_and_falls() {
        assert!(rate(0.5, 0, 100) < 0.1 && rate(0.5, 10, 100) > 0.45);
        assert!(rate(0.5, 99, 100) < 0.005 && rate(0.5, 0, 1) > 0.0);
    }
}
