//! What a zoo is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use super::flags::Flags;
use super::item::Item;
use super::shard::Shard;
use crate::device::Stop;

/// A part of the work that can be done apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
