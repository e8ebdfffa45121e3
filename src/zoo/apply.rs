//! The third phase: each model planned, rewritten and verified, in a process of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::collect::collected;
use super::entry::{Entry, State};
use super::item::Item;
use super::message::{Answer, Job, Optimize};
use super::run::{Desk, spread};
use super::spared::Spared;
use super::trouble::Trouble;
use crate::onnx::files;
use crate::profile::Problem;
use crate::{Error, Result};

/// How long a process that an interrupted run left behind may take to end.
const LEFT_BEHIND: Duration = Duration::from_secs(20);

/// Does what is left to do of `items`.
///
/// # Errors
/// When the output folder cannot be written to, or it is asked to stop.
pub(super) fn apply(desk: &Desk, items: Vec<&Item>) -> Result<()> {
    let timed = !desk.setup.plan_only && !desk.recorded;
    let what = if desk.setup.plan_only {
        "planning"
    } else {
        "optimizing models"
    };
    let spared = Spared::read(desk.journal.out());
    let mut items = items;
    if desk.engine.slots(timed) > 1 {
        // The largest first, so that no slot is left with one at the end.
        let macs = |i: &&Item| collected(desk, i).map_or(0, |c| c.macs);
        items.sort_by_cached_key(|i| std::cmp::Reverse(macs(i)));
    }
    spread(desk, what, timed, items, &|slot, item| {
        let Some(log) = locked(desk, item)? else {
            // Another run is at it, and will journal it.
            return Ok(());
        };
        // Another run may have finished it while this one waited.
        if desk.is_fresh(&desk.journal.read(item), item) {
            return Ok(());
        }
        one(desk, slot, item, &log, &spared)
    })
}

/// The model's lock. A process left behind by a run that was killed has it for a moment.
fn locked(desk: &Desk, item: &Item) -> Result<Option<File>> {
    let end = Instant::now() + LEFT_BEHIND;
    loop {
        let lock = desk.journal.lock(item)?;
        if lock.is_some() || Instant::now() >= end {
            return Ok(lock);
        }
        desk.setup.stop.check()?;
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A journal entry for work that begins now.
pub(super) fn begun(desk: &Desk, item: &Item) -> Entry {
    let before = desk.journal.read(item);
    let mut read: Vec<PathBuf> = desk.flags(item).read().map(PathBuf::from).collect();
    if item.token.is_none() {
        read.extend(files(&item.model));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Entry {
        schema_version: 1,
        name: item.name.clone(),
        model: item.model.clone(),
        state: State::Running,
        inputs: desk.journal.inputs(item, &read),
        token: item.token.clone(),
        settings: desk.settings(item),
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        device: desk.device.clone(),
        attempts: before.attempts,
        started: now.map_or(0, |t| t.as_secs()),
        ..Entry::default()
    }
}

fn one(desk: &Desk, slot: usize, item: &Item, log: &File, spared: &Spared) -> Result<()> {
    let mut entry = begun(desk, item);
    entry.attempts += 1;
    desk.note(&entry)?;
    let stem = desk.stem(item)?;
    let job = Job::Optimize(Optimize {
        model: item.model.clone(),
        flags: desk.with_store(&desk.flags(item)),
        stem: stem.clone(),
        plan_only: desk.setup.plan_only,
        spared: spared_of(desk, item, spared),
    });
    let start = Instant::now();
    let answer = desk.engine.run(slot, &job, Some(log), desk.setup.timeout);
    entry.seconds = start.elapsed().as_secs_f64();
    match answer {
        Answer::Optimized(done) => {
            let below = |name: &String| match Path::new(&item.name).parent().filter(|p| *p != Path::new("")) {
                Some(folder) if !name.contains("://") => format!("{}/{name}", folder.display()),
                _ => name.clone(),
            };
            entry.state = match (&done.declined, desk.setup.plan_only) {
                _ if done.differs => State::Failed,
                (Some(_), _) => State::Declined,
                (None, true) => State::Planned,
                (None, false) => State::Written,
            };
            entry.trouble = done.differs.then_some(Trouble::Verification);
            entry.reason = done.declined;
            entry.device = Some(done.device);
            entry.plan = done.plan;
            entry.files = done
                .files
                .iter()
                .map(|(name, hash)| (below(name), hash.clone()))
                .collect();
            entry.numbers = Some(done.numbers);
            desk.note(&entry)
        }
        answer => desk.failed(entry, answer),
    }
}

/// A model's problems that were spared.
fn spared_of(desk: &Desk, item: &Item, spared: &Spared) -> Vec<Problem> {
    let device = desk.flags(item).of_device().words();
    let mut problems = collected(desk, item).unwrap_or_default().needs.problems;
    problems.retain(|p| spared.has(&device, p));
    problems
}

impl Desk<'_> {
    /// Journals a failure.
    ///
    /// # Errors
    /// When it cannot be written, or it was no failure but a stop.
    pub(super) fn failed(&self, mut entry: Entry, answer: Answer) -> Result<()> {
        let (trouble, reason) = match answer {
            Answer::Stopped => {
                entry.state = State::Pending;
                self.note(&entry)?;
                return Err(Error::Stopped);
            }
            Answer::Failed { trouble, reason } => (trouble, reason),
            _ => (
                Trouble::Crash,
                "its process gave an answer to another question".to_owned(),
            ),
        };
        entry.state = State::Failed;
        entry.trouble = Some(trouble);
        entry.reason = Some(reason);
        self.note(&entry)
    }
}
