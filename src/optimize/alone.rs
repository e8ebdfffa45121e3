//! What the original takes alone, which predictions are scaled to.

use super::session::Session;
use crate::Result;
use crate::device::{CpuFallback, Timer};
use crate::profile::{Reference, call_ms, median, remembered, whole_key};
use crate::verify::race;

/// Seconds for the original alone, which predictions are scaled to.
const ALONE_SECONDS: f64 = 1.0;
/// Fresh sessions of the original beside the reference chain.
const FRESH: usize = 3;

/// The original's time where single nodes have none.
pub(super) struct Alone {
    /// Milliseconds.
    pub ms: f64,
    /// The reference chain's time then over its time when the layers were timed.
    pub pace: f64,
    /// What a run takes in which next to nothing is computed, milliseconds.
    pub call_ms: f64,
}

impl Session<'_> {
    /// Milliseconds that the original takes.
    pub(super) fn alone(&self) -> Result<f64> {
        let seconds = self.seconds(ALONE_SECONDS);
        let key = whole_key("alone", &[self.timed_base()], &self.inputs, seconds);
        remembered(&self.prober, &key, || {
            let alone = self.race(&[self.timed_base()], seconds)?;
            Ok(alone.first().map_or(0.0, |l| l.summary().median))
        })
    }

    /// What the original takes, and how fast the machine is meanwhile.
    pub(super) fn alone_at_pace(&self, timer: &dyn Timer) -> Result<Alone> {
        let Some(reference_ms) = self.prober.reference_ms() else {
            return Ok(Alone {
                ms: self.alone()?,
                pace: 1.0,
                call_ms: 0.0,
            });
        };
        let seconds = self.seconds(ALONE_SECONDS);
        let key = whole_key("alone at pace, and a call", &[self.timed_base()], &self.inputs, seconds);
        let (ms, reference, call_ms): (f64, f64, f64) = remembered(&self.prober, &key, || {
            let (mut sum, mut references, mut calls) = (0.0, Vec::new(), Vec::new());
            for (inputs, weight) in &self.inputs {
                let mut times = Vec::new();
                for _ in 0..FRESH {
                    let mut reference = Reference::new(timer)?;
                    let mut original = [timer.load(self.timed_base(), inputs, CpuFallback::Allowed)?];
                    reference.run()?;
                    let entries = race(&mut original, seconds / (FRESH * self.inputs.len()) as f64)?;
                    reference.run()?;
                    times.extend(entries.into_iter().flat_map(|e| e.samples));
                    references.extend(reference.ms());
                    calls.push(call_ms(timer)?);
                }
                sum += weight * median(&times);
            }
            Ok((sum, median(&references), median(&calls)))
        })?;
        let pace = if reference > 0.0 { reference / reference_ms } else { 1.0 };
        Ok(Alone { ms, pace, call_ms })
    }
}
