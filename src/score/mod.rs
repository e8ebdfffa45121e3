//! What losing a channel costs: what the layers see on calibration samples, and in which order channels go.

mod crossing;
mod greedy;
mod guess;
mod judge;
mod layer_consumer;
mod loss;
mod moments;
mod patches;
mod rankings;
mod rest;
mod rows;
mod staged_executor;
mod statistics;
mod subgraph;
mod taker;
mod watch;

pub use crossing::{crossing_bytes, read_from, value_bytes};
pub use greedy::{Ranking, rank};
pub use layer_consumer::LayerConsumer;
pub use loss::{Judgement, LossSpec, Objective, ObjectiveKind, Reference, TaughtDetections};
pub use moments::{Moments, add_products, column_sums};
pub use patches::{OutputPosition, input_rows, output_rows, picked, places_of, sampled};
pub use rankings::{Compensated, RIDGE, RankRequest, Ranked, rank_group, reading};
pub use rest::Rest;
pub use staged_executor::{StagedExecutor, Until};
pub use statistics::{Statistics, linear_ops, place_seed};
pub use subgraph::Live;
pub use watch::Watch;
