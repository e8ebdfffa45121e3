//! What each width costs: layers as problems, probed in small models on the device, kept in a database.

mod change_classes;
mod cost_model;
mod database;
mod edges;
mod extract;
mod gpus;
mod in_model;
mod latency_steps;
mod left_out;
mod nnls;
mod noise;
mod probe;
mod problem;
mod record;
mod row;
mod samples;
mod waves;

pub use change_classes::{ChangeClasses, ChangeKind, kind};
pub use cost_model::{CostModel, Regret, regret};
pub use database::Database;
pub use edges::{Time, fastest_from, find_edges};
pub use extract::{Layer, layers};
pub use gpus::{GPUS, gpu};
pub use in_model::{InModel, in_model};
pub use latency_steps::{plateaus, tail_free};
pub use left_out::{LeftOut, Why, counted, left_out};
pub use noise::{Noise, UNSTEADY};
pub use probe::{DriftCheck, Nearest, ProbeProgress, Prober, latency_steps, sessions, smoke};
pub use problem::{Problem, ProducerLayout};
pub use record::{Profile, Record, RecordFacts};
pub use row::Row;
pub use samples::{Summary, mad, median, summarize};
pub use waves::{Multiprocessors, Waves, waves};
