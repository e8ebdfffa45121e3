//! What a number of samples tells of a number computed from them.

/// Draws.
const DRAWS: usize = 400;

/// The 2.5 and 97.5 percentiles of `of` over samples drawn with replacement: `of` gets how often each of `samples` was drawn, and gives
/// `None` where nothing can be computed from those. `None` for fewer than two samples.
pub fn bootstrap(samples: usize, seed: u64, of: impl Fn(&[usize]) -> Option<f64>) -> Option<(f64, f64)> {
    if samples < 2 {
        return None;
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let mut found: Vec<f64> = Vec::new();
    for _ in 0..DRAWS {
        let mut times = vec![0; samples];
        (0..samples).for_each(|_| times[random.usize(..samples)] += 1);
        found.extend(of(&times).filter(|v| v.is_finite()));
    }
    found.sort_by(f64::total_cmp);
    let at = |share: f64| {
        found
            .get(((found.len() as f64 - 1.0) * share).round() as usize)
            .copied()
    };
    at(0.025).zip(at(0.975))
}
