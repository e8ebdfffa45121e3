//! Many models: which they are, what is left to do, who does it, and what came out.
//!
//! Three phases, which can run apart and on several machines: *collect* the problems of all models and keep each once,
//! *profile* them, *apply*: plan, rewrite and verify each model. A worker process does the jobs, so that a model that
//! crashes or hangs costs itself alone; the [`Journal`] remembers what is done.

mod apply;
mod code;
mod collect;
mod context;
mod counts;
mod digest;
mod engine;
mod entry;
mod failure;
mod find;
mod flags;
mod item;
mod journal;
mod local;
mod manifest;
mod message;
mod numbers;
mod page;
mod probe_pruner;
mod probing;
mod problems;
mod process;
mod pruned_probes;
mod report;
mod roles;
mod run;
mod setup;
mod shard;
mod spread;
mod summary;
pub mod text;
mod times;

pub use code::Code;
pub use engine::{Engine, WorkKind};
pub use entry::{JournalEntry, State};
pub use failure::FailureKind;
pub use find::find;
pub use flags::Flags;
pub use item::Item;
pub use journal::{Journal, is_address};
pub use local::{Isolation, Local, LocalSettings};
pub use manifest::manifest;
pub use message::{Answer, Event, Job, Optimize, Optimized};
pub use numbers::{Moved, Numbers};
pub use page::page;
pub use problems::Collected;
pub use report::write_report;
pub use roles::{FlagRole, ROLES};
pub use run::{Zoo, run};
pub use setup::{Phase, Setup};
pub use shard::{Shard, shares};
pub use summary::{ZooSummary, csv, summary};
