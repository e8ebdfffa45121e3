//! What each width costs: layers as problems, probed in small models on the device, kept in a database.

mod database;
mod extract;
mod in_model;
mod probe;
mod probe_model;
mod problem;
mod record;
mod samples;
mod stairs;

pub use database::{Database, Row};
pub use extract::{Layer, layers};
pub use in_model::{InModel, in_model};
pub use probe::{Prober, Progress};
pub use problem::{Feed, Problem};
pub use record::{Profile, Record};
pub use samples::{Summary, mad, median, summarize};
pub use stairs::{plateaus, tail_free};
