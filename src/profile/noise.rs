//! How steady the machine was while times were taken.

use serde::Serialize;

use super::Record;
use super::samples::median;

/// How far times can be trusted; all numbers are shares, so 0.01 is one percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Noise {
    /// Widths whose times were used.
    pub widths: usize,
    /// Half of the 95 % interval of a width's time over the time, of the middle one of all widths.
    pub typical: f64,
    /// The same of the noisiest width.
    pub worst: f64,
    /// By how much the first widths took longer when they were timed once more at the end (less than 0: less long).
    pub probing_drift: Option<f64>,
    /// By how much the original took longer in the slowest part of the last race than in the fastest.
    pub racing_drift: Option<f64>,
}

/// A change of speed beyond which the choice between widths may have suffered. On GPUs, layers of some 60 µs are bound by their launch, and
/// these differ by up to 17 % from one minute to the next (H100, clocks at rest).
pub const UNSTEADY: f64 = 0.2;

impl Noise {
    /// The spread of the times in `records`.
    pub fn of<'r>(records: impl Iterator<Item = &'r Record>) -> Self {
        let share = |r: &Record| {
            let summary = r.summary();
            summary.half_width() / summary.median.max(1e-12)
        };
        let shares: Vec<f64> = records.filter(|r| r.samples.len() > 1).map(share).collect();
        Self {
            widths: shares.len(),
            typical: median(&shares),
            worst: shares.iter().copied().fold(0.0, f64::max),
            ..Self::default()
        }
    }

    /// The greatest change of speed, where it is more than [`UNSTEADY`].
    pub fn unsteady(&self) -> Option<f64> {
        let drifts = self.probing_drift.into_iter().chain(self.racing_drift);
        drifts.map(f64::abs).filter(|d| *d > UNSTEADY).reduce(f64::max)
    }
}
