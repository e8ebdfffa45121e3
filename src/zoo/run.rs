//! The phases, one after the other.

use std::time::Instant;

use super::apply::apply;
use super::code::Code;
use super::collect::{collect, collected as collected_of};
use super::context::{LOOKING, ZooContext};
use super::engine::Engine;
use super::entry::{JournalEntry, State};
use super::item::Item;
use super::journal::Journal;
use super::message::{Answer, Job};
use super::probing::probe;
use super::setup::{Phase, Setup};
use super::shard::{Shard, shares};
use super::summary::{ZooSummary, summary};
use super::times;
use crate::optimize::{ProgressReporter, Step};
use crate::{Error, Result};

/// What came out.
#[derive(Debug)]
pub struct Zoo {
    /// Totals and all models.
    pub summary: ZooSummary,
    /// The exit status, for this share.
    pub code: Code,
    /// Models that were finished before.
    pub skipped: usize,
}

/// Does what is left to do. `finished` is called with every model that is finished.
///
/// # Errors
/// When the output folder cannot be written to, the device is not there, or it is asked to stop.
pub fn run(
    setup: &Setup,
    engine: &dyn Engine,
    reporter: &(dyn ProgressReporter + Sync),
    finished: &(dyn Fn(&JournalEntry) + Sync),
) -> Result<Zoo> {
    let began = Instant::now();
    let mut context = ZooContext {
        setup,
        engine,
        journal: Journal::open(&setup.out)?,
        device: None,
        recorded: false,
        reporter,
        finished,
    };
    if setup.phases.iter().any(|p| *p != Phase::Collect) {
        reporter.step(Step::LookAtDevice);
        let job = Job::Device {
            flags: setup.flags.clone(),
        };
        match engine.run(0, &job, None, Some(LOOKING)) {
            Answer::Device { info, here } => {
                context.device = Some(format!("{} · {}", info.name, info.stack));
                context.recorded = !here;
            }
            Answer::Failed { reason, .. } => return Err(Error::device(reason)),
            _ => return Err(Error::Stopped),
        }
        times::gather(&setup.out, &setup.db, &setup.flags)?;
    }
    let done = phases(&context);
    reporter.done();
    let skipped = done?;
    let entries: Vec<JournalEntry> = setup.items.iter().map(|i| context.journal.read(i)).collect();
    let own: Vec<JournalEntry> = own(&context).into_iter().map(|i| context.journal.read(i)).collect();
    let last = setup.phases.iter().max().copied().unwrap_or(Phase::Apply);
    let reached = |e: &&JournalEntry| last == Phase::Apply || e.state != State::Pending;
    Ok(Zoo {
        code: Code::of(own.iter().filter(reached)),
        summary: summary(
            &setup.out,
            context.device.clone(),
            entries,
            began.elapsed().as_secs_f64(),
        ),
        skipped,
    })
}

/// The phases asked for; how many models were finished before.
fn phases(context: &ZooContext) -> Result<usize> {
    let setup = context.setup;
    let asked = |phase| setup.phases.contains(&phase);
    let own = own(context);
    let all = own.len();
    let mut todo = left(context, own);
    let skipped = all - todo.len();
    let mut collected = Vec::new();
    if asked(Phase::Collect) {
        collected = collect(context, todo.clone())?;
        todo = left(context, todo);
    }
    if asked(Phase::Profile) && !context.recorded {
        // By itself, this phase times its share of what all machines collected.
        let mut shard = Shard::default();
        if !asked(Phase::Collect) {
            shard = setup.shard;
            let all = setup.items.iter();
            collected = all.filter_map(|i| Some((i, collected_of(context, i)?))).collect();
        }
        probe(context, collected, shard)?;
        times::publish(setup)?;
    }
    if asked(Phase::Apply) {
        apply(context, todo)?;
        times::publish(setup)?;
    }
    Ok(skipped)
}

/// Those with something left to do.
fn left<'a>(context: &ZooContext, mut items: Vec<&'a Item>) -> Vec<&'a Item> {
    items.retain(|i| !context.is_fresh(&context.journal.read(i), i));
    items
}

/// This machine's models: in turns, or by their work where a phase of its own has collected that.
fn own<'a>(context: &ZooContext<'a>) -> Vec<&'a Item> {
    let setup = context.setup;
    let by_work = setup.shard.count > 1 && !setup.phases.contains(&Phase::Collect);
    let macs = |i: &Item| collected_of(context, i).map_or(0.0, |c| c.macs as f64);
    let work: Vec<f64> = setup
        .items
        .iter()
        .map(|i| if by_work { macs(i) } else { 0.0 })
        .collect();
    let share = shares(&work, setup.shard.count);
    let items = setup.items.iter().zip(share);
    items.filter(|(_, s)| *s == setup.shard.index).map(|(i, _)| i).collect()
}
