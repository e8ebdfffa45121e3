//! What all phases of a zoo work with.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::engine::Engine;
use super::entry::{JournalEntry, State};
use super::failure::FailureKind;
use super::flags::Flags;
use super::item::Item;
use super::journal::Journal;
use super::message::{Answer, Job};
use super::setup::Setup;
use crate::device::DeviceInfo;
use crate::onnx::files;
use crate::optimize::ProgressReporter;
use crate::{Error, Result};

/// How long it may take to look at a device.
pub(super) const LOOKING: Duration = Duration::from_secs(120);

/// What all phases work with.
pub(super) struct ZooContext<'a> {
    pub setup: &'a Setup<'a>,
    pub engine: &'a dyn Engine,
    pub journal: Journal,
    /// The device and its software; `None` where it is not needed.
    pub device: Option<String>,
    /// Whether the device is known from a recorded profile only.
    pub recorded: bool,
    pub reporter: &'a (dyn ProgressReporter + Sync),
    pub finished: &'a (dyn Fn(&JournalEntry) + Sync),
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
            Answer::Failed { reason, .. } => Err(Error::device(reason)),
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
        if self.setup.retry_failed && entry.state == State::Failed {
            return false;
        }
        self.journal
            .is_fresh(entry, item, &self.settings(item), self.device.as_deref())
    }

    /// Writes a journal, and tells of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn note(&self, entry: &JournalEntry) -> Result<()> {
        self.journal.write(entry)?;
        self.engine.noted(entry);
        if entry.state.is_finished() {
            (self.finished)(entry);
        }
        Ok(())
    }

    /// Journals a failure.
    ///
    /// # Errors
    /// When it cannot be written, or it was no failure but a stop.
    pub(super) fn failed(&self, mut entry: JournalEntry, answer: Answer) -> Result<()> {
        let (failure, reason) = match answer {
            Answer::Stopped => {
                entry.state = State::Pending;
                self.note(&entry)?;
                return Err(Error::Stopped);
            }
            Answer::Failed { failure, reason } => (failure, reason),
            _ => (
                FailureKind::Crash,
                "its process gave an answer to another question".to_owned(),
            ),
        };
        entry.state = State::Failed;
        entry.failure = Some(failure);
        entry.reason = Some(reason);
        self.note(&entry)
    }

    /// A journal entry for work that begins now.
    pub(super) fn begun(&self, item: &Item) -> JournalEntry {
        let before = self.journal.read(item);
        let mut read: Vec<PathBuf> = self.flags(item).read().map(PathBuf::from).collect();
        if item.token.is_none() {
            read.extend(files(&item.model));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        JournalEntry {
            schema_version: 1,
            name: item.name.clone(),
            model: item.model.clone(),
            state: State::Running,
            inputs: self.journal.inputs(item, &read),
            token: item.token.clone(),
            settings: self.settings(item),
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            device: self.device.clone(),
            attempts: before.attempts,
            started: now.map_or(0, |t| t.as_secs()),
            ..JournalEntry::default()
        }
    }
}
