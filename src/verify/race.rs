//! Loaded models, timed side by side.

use std::time::Instant;

use super::entry::Entry;
use crate::Result;
use crate::device::{TimedSession, one_round};
use crate::profile::median;

/// The most runs that a session takes one time as the mean of.
pub(super) fn most_repeats(sessions: &[Box<dyn TimedSession>]) -> usize {
    sessions.iter().map(|s| s.repeats()).max().unwrap_or(1)
}

/// What a launch adds is shared by as many runs everywhere; it would be part of a ratio of unlike numbers.
pub(super) fn warm_up(sessions: &mut [Box<dyn TimedSession>], repeats: usize) -> Result<()> {
    for session in sessions {
        session.set_repeats(repeats);
        for _ in 0..3 {
            session.run()?;
        }
    }
    Ok(())
}

/// Times loaded models in rounds of rotating order, from the `first`-th on, for about `seconds`, and adds to their entries.
pub(super) fn rounds(
    sessions: &mut [Box<dyn TimedSession>],
    entries: &mut [Entry],
    seconds: f64,
    first: usize,
    report: &dyn Fn(f64),
) -> Result<()> {
    let from = entries[0].ratios.len();
    let start = Instant::now();
    let mut round = 0;
    while round < 5 || (start.elapsed().as_secs_f64() < seconds && round < 400) {
        report((start.elapsed().as_secs_f64() / seconds.max(1e-9)).min(1.0));
        let times = one_round(sessions, round + first)?;
        for (entry, &time) in entries.iter_mut().zip(&times) {
            entry.samples.push(time);
            entry.ratios.push(time / times[0]);
        }
        round += 1;
    }
    for entry in entries {
        entry.block_ratios.push(median(&entry.ratios[from..]));
        entry.block_ms.push(median(&entry.samples[from..]));
    }
    Ok(())
}

/// Times sessions side by side, whatever they run and wherever, for about `seconds`; ratios are to the first.
///
/// # Errors
/// When a run fails.
pub fn race(sessions: &mut [Box<dyn TimedSession>], seconds: f64) -> Result<Vec<Entry>> {
    let mut entries = vec![Entry::default(); sessions.len()];
    if !sessions.is_empty() {
        let most = most_repeats(sessions);
        warm_up(sessions, most)?;
        rounds(sessions, &mut entries, seconds, 0, &|_| {})?;
    }
    Ok(entries)
}
