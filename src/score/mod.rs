//! What losing a channel costs: what the layers see on calibration samples, and in which order channels go.

mod greedy;
mod guess;
mod judge;
mod linear_op;
mod loss;
mod moments;
mod patches;
mod rankings;
mod staged_executor;
mod statistics;

pub use greedy::{LayerConsumer, Ranking, rank};
pub use linear_op::{Form, LinearOp};
pub use loss::{Judgement, Reference};
pub use moments::{Moments, add_products};
pub use patches::{OutputPosition, input_rows, output_rows, picked};
pub use rankings::{Compensated, RIDGE, Ranked, rank_group, reading};
pub use staged_executor::{Live, StagedExecutor, crossing_bytes, read_from};
pub use statistics::{Statistics, linear_ops, place_seed};
