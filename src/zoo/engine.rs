//! Who does the jobs.

use std::fs::File;
use std::time::Duration;

use super::entry::JournalEntry;
use super::message::{Answer, Job};

/// What work needs of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkKind {
    /// It takes times: nothing else runs on the device meanwhile.
    Timed,
    /// It takes none, and may run beside other work.
    Untimed,
}

/// Where jobs are done: processes of this machine, or a cluster.
pub trait Engine: Sync {
    /// How many jobs may be under way at once; timed ones never run side by side on one device.
    fn slots(&self, kind: WorkKind) -> usize;

    /// Does a job and waits for its end, at most for `limit`, in which waiting for the device does not count. What it says of itself goes to
    /// `log`.
    fn run(&self, slot: usize, job: &Job, log: Option<&File>, limit: Option<Duration>) -> Answer;

    /// Told that the journal of a model was written.
    fn noted(&self, _entry: &JournalEntry) {}
}
