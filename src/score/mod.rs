//! What losing a channel costs: what the layers see on calibration samples, and in which order channels go.

mod greedy;
mod guess;
mod judge;
mod loss;
mod mixer;
mod moments;
mod patches;
mod rankings;
mod statistics;
mod walk;

pub use greedy::{Ranking, Reader, rank};
pub use loss::{Judgement, Reference};
pub use mixer::{Form, Mixer};
pub use moments::{Moments, add_products};
pub use patches::{Place, input_rows, output_rows, picked};
pub use rankings::{Compensated, RIDGE, Ranked, rank_group, reading};
pub use statistics::{Statistics, mixers, place_seed};
pub use walk::{Live, Walk, crossing_bytes, read_from};
