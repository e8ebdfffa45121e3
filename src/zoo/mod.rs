//! Many models: which they are, what is left to do, who does it, and what came out.
//!
//! Three phases, which can run apart and on several machines: *collect* the problems of all models and keep each once,
//! *profile* them, *apply*: plan, rewrite and verify each model. A worker process does the jobs, so that a model that
//! crashes or hangs costs itself alone; the [`Journal`] remembers what is done.

mod apply;
mod collect;
mod counts;
mod digest;
mod engine;
mod entry;
mod failure;
mod flags;
mod item;
mod journal;
mod local;
mod message;
mod numbers;
mod page;
mod probe_pruner;
mod probing;
mod problems;
mod process;
mod pruned_probes;
mod run;
mod shard;
mod summary;
pub mod text;
mod times;

pub use engine::Engine;
pub use entry::{JournalEntry, State};
pub use failure::{Code, FailureKind};
pub use flags::Flags;
pub use item::{Item, find, manifest};
pub use journal::{Journal, is_address};
pub use local::{Local, Program};
pub use message::{Answer, Event, Job, Optimize, Optimized};
pub use numbers::{Moved, Numbers};
pub use page::page;
pub use problems::Collected;
pub use run::{Phase, Setup, Zoo, run};
pub use shard::{Shard, shares};
pub use summary::{ZooSummary, csv, summary};
