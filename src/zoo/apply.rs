//! The third phase: each model planned, rewritten and verified, in a process of its own.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use super::collect::collected;
use super::context::ZooContext;
use super::engine::WorkKind;
use super::entry::State;
use super::failure::FailureKind;
use super::item::Item;
use super::message::{Answer, Job, Optimize};
use super::pruned_probes::PrunedProbes;
use super::spread::spread;
use crate::Result;
use crate::optimize::Step;
use crate::profile::Problem;

/// How long a process that an interrupted run left behind may take to end.
const LEFT_BEHIND: Duration = Duration::from_secs(20);

/// Does what is left to do of `items`.
///
/// # Errors
/// When the output folder cannot be written to, or it is asked to stop.
pub(super) fn apply(context: &ZooContext, items: Vec<&Item>) -> Result<()> {
    let kind = match context.setup.plan_only || context.recorded {
        true => WorkKind::Untimed,
        false => WorkKind::Timed,
    };
    let step = match context.setup.plan_only {
        true => Step::PlanModels,
        false => Step::OptimizeModels,
    };
    let pruned = PrunedProbes::read(context.journal.out());
    let mut items = items;
    if context.engine.slots(kind) > 1 {
        // The largest first, so that no slot is left with one at the end.
        let macs = |i: &&Item| collected(context, i).map_or(0, |c| c.macs);
        items.sort_by_cached_key(|i| std::cmp::Reverse(macs(i)));
    }
    spread(context, step, kind, items, &|slot, item| {
        let Some(log) = locked(context, item)? else {
            // Another run is at it, and will journal it.
            return Ok(());
        };
        // Another run may have finished it while this one waited.
        if context.is_fresh(&context.journal.read(item), item) {
            return Ok(());
        }
        one(context, slot, item, &log, &pruned)
    })
}

/// The model's lock. A process left behind by a run that was killed has it for a moment.
fn locked(context: &ZooContext, item: &Item) -> Result<Option<File>> {
    let end = Instant::now() + LEFT_BEHIND;
    loop {
        let lock = context.journal.lock(item)?;
        if lock.is_some() || Instant::now() >= end {
            return Ok(lock);
        }
        context.setup.stop.check()?;
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn one(context: &ZooContext, slot: usize, item: &Item, log: &File, pruned: &PrunedProbes) -> Result<()> {
    let mut entry = context.begun(item);
    entry.attempts += 1;
    context.note(&entry)?;
    let stem = context.stem(item)?;
    let job = Job::Optimize(Optimize {
        model: item.model.clone(),
        flags: context.with_store(&context.flags(item)),
        stem: stem.clone(),
        plan_only: context.setup.plan_only,
        pruned: pruned_of(context, item, pruned),
    });
    let start = Instant::now();
    let answer = context.engine.run(slot, &job, Some(log), context.setup.timeout);
    entry.seconds = start.elapsed().as_secs_f64();
    match answer {
        Answer::Optimized(done) => {
            let below = |name: &String| match Path::new(&item.name).parent().filter(|p| *p != Path::new("")) {
                Some(folder) if !name.contains("://") => format!("{}/{name}", folder.display()),
                _ => name.clone(),
            };
            entry.state = match (&done.declined, context.setup.plan_only) {
                _ if done.differs => State::Failed,
                (Some(_), _) => State::Declined,
                (None, true) => State::Planned,
                (None, false) => State::Written,
            };
            entry.failure = done.differs.then_some(FailureKind::Verification);
            entry.reason = done.declined;
            entry.device = Some(done.device);
            entry.plan = done.plan;
            entry.files = done
                .files
                .iter()
                .map(|(name, hash)| (below(name), hash.clone()))
                .collect();
            entry.numbers = Some(done.numbers);
            context.note(&entry)
        }
        answer => context.failed(entry, answer),
    }
}

/// A model's problems that were pruned.
fn pruned_of(context: &ZooContext, item: &Item, pruned: &PrunedProbes) -> Vec<Problem> {
    let device = context.flags(item).of_device().words();
    let mut problems = collected(context, item).unwrap_or_default().needs.problems;
    problems.retain(|p| pruned.has(&device, p));
    problems
}
