//! What each width costs: layers as problems, probed in small models on the device, kept in a database.

mod change_classes;
mod cost_model;
mod database;
mod deployed;
mod edges;
mod extract;
mod gpus;
mod in_floats;
mod in_model;
mod latency_steps;
mod left_out;
mod limits;
mod nnls;
mod node_work;
mod noise;
mod probe;
mod problem;
mod quantized;
mod record;
mod remembered;
mod roofline;
mod row;
mod samples;
mod waves;

pub use change_classes::{ChangeClasses, ChangeKind, kind};
pub use cost_model::{CostModel, Regret, regret};
pub use database::Database;
pub use deployed::{DeployDtype, Deployment, float_forks};
pub use edges::{Time, fastest_from, find_edges};
pub use extract::{Layer, layers};
pub use gpus::{GPUS, gpu};
pub use in_model::{InModel, NodeMs, in_model};
pub use latency_steps::{plateaus, tail_free};
pub use left_out::{Described, LeftOut, Why, counted, is_quantized, left_out, quantized_layers};
pub use limits::Limits;
pub use node_work::ElementType;
pub use noise::{Noise, UNSTEADY};
pub use probe::{
    DriftCheck, Nearest, ProbeHelpers, ProbeProgress, Prober, Reference, SessionSize, call_ms, latency_steps,
    measure_together, sessions, smoke,
};
pub use problem::{Problem, ProducerLayout};
pub use quantized::{Forks, Quantized, QuantizedForm};
pub use record::{Profile, Record, RecordFacts};
pub(crate) use remembered::{recalled, remember, remembered, remembered_if_any, whole_key};
pub use roofline::{Bound, MainKernel, NodeCost, Roofline, RunTotals, WholeModel, roofline};
pub use row::Row;
pub use samples::{Summary, mad, median, summarize};
pub use waves::{Multiprocessors, Waves, waves};
