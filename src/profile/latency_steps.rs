//! The steps of time against width: plateaus and tail-free widths.

/// Tail-free widths: indices i such that every wider one is slower, t_j > t_i·(1 + epsilon) for all
/// j > i. `times` are in the order of growing width; `epsilon` is at least the relative noise.
pub fn tail_free(times: &[f64], epsilon: f64) -> Vec<usize> {
    let mut found = Vec::new();
    let mut least = f64::INFINITY;
    for (i, &t) in times.iter().enumerate().rev() {
        if least > t * (1.0 + epsilon) {
            found.push(i);
        }
        least = least.min(t);
    }
    found.reverse();
    found
}

/// Runs of widths with equal times: (first index, last index) of each, where neighbours differ by
/// no more than `epsilon` from the run's first time.
pub fn plateaus(times: &[f64], epsilon: f64) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (i, &t) in times.iter().enumerate() {
        match runs.last_mut() {
            Some((first, last)) if (t / times[*first] - 1.0).abs() <= epsilon => *last = i,
            _ => runs.push((i, i)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::{plateaus, tail_free};

    /// A 3×3 conv 64→C at 56² on one AVX-512 core, milliseconds at C = 32, 34, 48, 50, 64, 66, 80.
    const TIMES: [f64; 7] = [1.10, 1.60, 1.60, 2.12, 2.12, 2.65, 2.65];

    #[test]
    fn the_last_width_of_each_step_is_tail_free() {
        assert_eq!(tail_free(&TIMES, 0.02), [0, 2, 4, 6]);
    }

    #[test]
    fn a_wider_and_faster_width_shadows_the_narrower() {
        assert_eq!(tail_free(&[1.0, 2.0, 1.5], 0.02), [0, 2]);
    }

    #[test]
    fn steps_are_found_within_the_noise() {
        assert_eq!(plateaus(&TIMES, 0.02), [(0, 0), (1, 2), (3, 4), (5, 6)]);
        assert_eq!(plateaus(&[1.0, 1.009, 0.993], 0.02), [(0, 2)]);
    }
}
