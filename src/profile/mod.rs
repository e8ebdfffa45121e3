//! What each width costs: layers as problems, probed in small models on the device, kept in a database.

mod alike;
mod cost_model;
mod database;
mod edges;
mod extract;
mod gpus;
mod in_model;
mod left_out;
mod nnls;
mod noise;
mod probe;
mod probe_model;
mod problem;
mod record;
mod row;
mod samples;
mod stairs;
mod waves;

pub use alike::{Alike, Kind, kind};
pub use cost_model::{CostModel, Regret, regret};
pub use database::Database;
pub use edges::{Time, fastest_from, find_edges};
pub use extract::{Layer, layers};
pub use gpus::{GPUS, gpu};
pub use in_model::{InModel, in_model};
pub use left_out::{LeftOut, Why, counted, left_out};
pub use noise::{Noise, UNSTEADY};
pub use probe::{Prober, Progress, sessions, smoke, staircase};
pub use problem::{Feed, Problem};
pub use record::{Facts, Profile, Record};
pub use row::Row;
pub use samples::{Summary, mad, median, summarize};
pub use stairs::{plateaus, tail_free};
pub use waves::{Multiprocessors, Waves, waves};
