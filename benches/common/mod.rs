//! Shared by the benches.
#![allow(dead_code)]

use snapprune::data::Scaling;
use snapprune::optimize::{ProgressReporter, Step};

/// Shows nothing.
pub struct Quiet;

impl ProgressReporter for Quiet {
    fn step(&self, _: Step) {}
    fn progress(&self, _: usize, _: usize) {}
}

/// Means and deviations from lists such as 0.485,0.456,0.406.
pub fn scaling(mean: &str, std: &str) -> Scaling {
    let list = |text: &str| -> Vec<f32> { text.split(',').map(|v| v.parse().expect("a number")).collect() };
    Scaling {
        mean: list(mean),
        std: list(std),
    }
}
