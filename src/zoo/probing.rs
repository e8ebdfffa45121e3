//! The second phase: every problem timed once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::message::{Answer, Job};
use super::problems::{Distinct, Unit};
use super::counts::Counts;
use super::run::{Desk, spread};
use super::shard::{Shard, shares};
use super::trouble::Trouble;
use crate::{Error, Result};

/// Failures in a row after which the device is not tried any more.
const LOST: usize = 3;

/// Times this share of the problems; what the database knows already is not timed again.
///
/// # Errors
/// When the device is lost, or it is asked to stop.
pub(super) fn probe(desk: &Desk, distinct: Distinct, shard: Shard) -> Result<()> {
    let counts = Mutex::new(Counts::begin(desk.journal.out(), desk.setup.shard, &distinct));
    let units = distinct.units();
    let work: Vec<f64> = units.iter().map(|u| u.work).collect();
    let share = shares(&work, shard.count);
    let mut own: Vec<Unit> = units.into_iter().zip(share).filter(|(_, s)| *s == shard.index).map(|(u, _)| u).collect();
    // Large ones first, so that no device is left with one at the end.
    own.sort_by(|a, b| b.work.total_cmp(&a.work));
    let count = |made: usize, known: usize, failed: usize| match counts.lock() {
        Ok(mut counts) => counts.add(made, known, failed),
        Err(_) => Ok(()),
    };
    let in_a_row = AtomicUsize::new(0);
    let one = |slot: usize, unit: &Unit| -> Result<bool> {
        let job = Job::Probe {
            flags: desk.with_store(&unit.flags),
            problems: unit.problems.clone(),
        };
        match desk.engine.run(slot, &job, None, desk.setup.timeout) {
            Answer::Probed { made: new, known: old } => {
                in_a_row.store(0, Ordering::Relaxed);
                count(new, old, 0)?;
                Ok(true)
            }
            Answer::Stopped => Err(Error::Stopped),
            Answer::Failed { trouble, reason } => {
                let lost = in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= LOST;
                if lost && trouble == Trouble::Machine {
                    return Err(Error::Device(format!("nothing can be timed on the device: {reason}")));
                }
                Ok(false)
            }
            _ => Ok(false),
        }
    };
    spread(desk, "timing problems", true, own, &|slot, unit| {
        if one(slot, &unit)? {
            return Ok(());
        }
        // One of them is to blame: each for itself.
        for problem in &unit.problems {
            let single = Unit {
                problems: vec![problem.clone()],
                ..unit.clone()
            };
            if !one(slot, &single)? {
                count(0, 0, 1)?;
            }
        }
        Ok(())
    })
}
