//! The phases, one after the other.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::apply::apply;
use super::collect::{collect, collected as collected_of};
use super::engine::Engine;
use super::entry::{JournalEntry, State};
use super::failure::Code;
use super::flags::Flags;
use super::item::Item;
use super::journal::Journal;
use super::message::{Answer, Job};
use super::probing::probe;
use super::shard::{Shard, shares};
use super::summary::{ZooSummary, summary};
use super::times;
use crate::device::{DeviceInfo, Stop};
use crate::optimize::ProgressReporter;
use crate::{Error, Result};

/// A part of the work that can be done apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Phase {
    /// Read every model and list the problems that must be timed, each once.
    Collect,
    /// Time them.
    Profile,
    /// Plan, rewrite and verify every model.
    Apply,
}

/// What is to be done.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The models, in the order of their names.
    pub items: Vec<Item>,
    /// The output folder.
    pub out: PathBuf,
    /// Where models are written, if not into the output folder: an address that the engine knows.
    pub destination: Option<String>,
    /// Flags of the main job for all models; a model's own take their place.
    pub flags: Flags,
    /// The latency database.
    pub db: PathBuf,
    /// The phases to do.
    pub phases: Vec<Phase>,
    /// This machine's share.
    pub shard: Shard,
    /// How long a job may take.
    pub timeout: Option<Duration>,
    /// Try again what failed.
    pub retry_failed: bool,
    /// Plan from known times only.
    pub plan_only: bool,
    /// The wish to stop.
    pub stop: &'a Stop,
}

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

/// How long it may take to look at a device.
const LOOKING: Duration = Duration::from_secs(120);

/// What all phases work with.
pub(super) struct ZooContext<'a> {
    pub setup: &'a Setup<'a>,
    pub engine: &'a dyn Engine,
    pub journal: Journal,
    /// The device and its software; `None` where it is not needed.
    pub device: Option<String>,
    /// Whether the device is known from a recorded profile only.
    pub recorded: bool,
    reporter: &'a (dyn ProgressReporter + Sync),
    told: &'a (dyn Fn(&JournalEntry) + Sync),
}

impl ZooContext<'_> {
    /// A model's flags.
    pub(super) fn flags(&self, item: &Item) -> Flags {
        self.setup.flags.with(&item.flags)
    }

    /// Flags with the database.
    pub(super) fn with_store(&self, flags: &Flags) -> Flags {
        flags.and("db", self.setup.db.to_string_lossy())
    }

    /// The device that flags mean.
    pub(super) fn device_of(&self, flags: &Flags) -> Result<DeviceInfo> {
        let job = Job::Device { flags: flags.clone() };
        match self.engine.run(0, &job, None, Some(LOOKING)) {
            Answer::Device { info, .. } => Ok(info),
            Answer::Failed { reason, .. } => Err(Error::Device(reason)),
            _ => Err(Error::Stopped),
        }
    }

    /// A hash of the flags that decide what comes out.
    pub(super) fn settings(&self, item: &Item) -> String {
        let words = self.flags(item).of_result().words();
        blake3::hash(format!("{words:?} plan only: {}", self.setup.plan_only).as_bytes())
            .to_hex()
            .to_string()
    }

    /// Where a model's files go, up to their endings.
    pub(super) fn stem(&self, item: &Item) -> Result<PathBuf> {
        match &self.setup.destination {
            Some(address) => Ok(PathBuf::from(format!("{address}/{}", item.name))),
            None => {
                let stem = self.journal.out().join(&item.name);
                if let Some(folder) = stem.parent() {
                    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
                }
                Ok(stem)
            }
        }
    }

    /// Whether there is nothing left to do for a model.
    pub(super) fn is_fresh(&self, entry: &JournalEntry, item: &Item) -> bool {
        // What was begun before is done again, and so are its times.
        let when = self.setup.flags.value("remeasure").and_then(|w| w.parse::<u64>().ok());
        if when.is_some_and(|w| entry.started + 1 < w) {
            return false;
        }
        let (settings, again) = (self.settings(item), self.setup.retry_failed);
        self.journal
            .is_fresh(entry, item, &settings, self.device.as_deref(), again)
    }

    /// Writes a journal, and tells of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn note(&self, entry: &JournalEntry) -> Result<()> {
        self.journal.write(entry)?;
        self.engine.noted(entry);
        if entry.state.is_finished() {
            (self.told)(entry);
        }
        Ok(())
    }
}

/// Does pieces of work in as many threads as the engine has slots. The first error ends it.
pub(super) fn spread<T: Send>(
    context: &ZooContext,
    what: &str,
    timed: bool,
    pieces: Vec<T>,
    each: &(dyn Fn(usize, T) -> Result<()> + Sync),
) -> Result<()> {
    if pieces.is_empty() {
        return Ok(());
    }
    let total = pieces.len();
    context.reporter.step(what);
    context.reporter.progress(0, total);
    let (queue, done) = (Mutex::new(pieces.into_iter()), AtomicUsize::new(0));
    let wrong: Mutex<Option<Error>> = Mutex::new(None);
    let work = |slot: usize| {
        loop {
            let failed = wrong.lock().map_or(true, |w| w.is_some());
            let next = queue.lock().ok().and_then(|mut q| q.next());
            let Some(piece) = next.filter(|_| !failed) else { return };
            let result = context.setup.stop.check().and_then(|()| each(slot, piece));
            if let (Err(error), Ok(mut wrong)) = (result, wrong.lock()) {
                wrong.get_or_insert(error);
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..context.engine.slots(timed).clamp(1, total))
            .map(|slot| scope.spawn(move || work(slot)))
            .collect();
        while threads.iter().any(|t| !t.is_finished()) {
            context.reporter.progress(done.load(Ordering::Relaxed), total);
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    context.reporter.progress(total, total);
    wrong.into_inner().ok().flatten().map_or(Ok(()), Err)
}

/// Does what is left to do. `told` hears of every model that is finished.
///
/// # Errors
/// When the output folder cannot be written to, the device is not there, or it is asked to stop.
pub fn run(
    setup: &Setup,
    engine: &dyn Engine,
    reporter: &(dyn ProgressReporter + Sync),
    told: &(dyn Fn(&JournalEntry) + Sync),
) -> Result<Zoo> {
    let began = Instant::now();
    let mut context = ZooContext {
        setup,
        engine,
        journal: Journal::open(&setup.out)?,
        device: None,
        recorded: false,
        reporter,
        told,
    };
    if setup.phases.iter().any(|p| *p != Phase::Collect) {
        reporter.step("looking at the device");
        let job = Job::Device {
            flags: setup.flags.clone(),
        };
        match engine.run(0, &job, None, Some(LOOKING)) {
            Answer::Device { info, here } => {
                context.device = Some(format!("{} · {}", info.name, info.stack));
                context.recorded = !here;
            }
            Answer::Failed { reason, .. } => return Err(Error::Device(reason)),
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
