//! A number of the user's own for what a model gives on the evaluation samples.

mod files;
mod judge;
mod process;
mod user_metric;

pub use judge::{MetricJudge, MetricScores};
pub use process::PythonMetric;
pub use user_metric::{ScoreRequest, UserMetric};

#[cfg(test)]
mod tests;
