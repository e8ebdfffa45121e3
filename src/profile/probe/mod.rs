//! Timing problems on a device: what is known is looked up, what is missing is measured, many problems in one session.

mod attribution;
mod cache;
mod differences;
mod helpers;
mod measurer;
mod model;
mod prober;
mod quantized;
mod scheduler;

pub use cache::{Nearest, latency_steps};
pub use differences::{Reference, call_ms};
pub use helpers::ProbeHelpers;
pub use measurer::{measure_together, smoke};
pub(in crate::profile) use model::{node, probe_model, small_values, value_info};
pub use prober::{DriftCheck, ProbeProgress, Prober};
pub use scheduler::{SessionSize, sessions};
