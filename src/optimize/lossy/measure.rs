//! One plan's model beside the original.

use crate::Result;
use crate::optimize::options::Amount;
use crate::optimize::session::Session;
use crate::plan::Plan;

/// A measured latency.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latency {
    /// Milliseconds.
    pub ms: f64,
    /// Over the original's.
    pub ratio: f64,
}

impl Latency {
    /// A latency goal as a share of the original's latency, which was measured beside this one.
    pub fn share_of(self, goal: Amount) -> f64 {
        let original = self.ms / self.ratio;
        goal.of(original) / original
    }
}

/// Benchmarks a plan's model, its weights as they were, for about so many seconds.
pub(super) fn measure(session: &Session, plan: &Plan, seconds: f64) -> Result<Latency> {
    let model = session.timed(&session.rewritten(plan)?)?;
    let entries = [session.timed_original(), model.as_slice()];
    let entries = session.race(&entries, session.seconds(seconds))?;
    Ok(Latency {
        ms: entries[1].summary().median,
        ratio: entries[1].ratio(),
    })
}
