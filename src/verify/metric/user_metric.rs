//! What a metric is asked.

use std::fmt::Debug;
use std::path::PathBuf;

use serde::Serialize;

use crate::Result;
use crate::device::{Limit, Stop};

/// A number of the user's own; greater is better.
pub trait UserMetric: Debug + Send + Sync {
    /// What it is called in reports.
    fn name(&self) -> &str;

    /// Gets ready, so that what cannot work is told before anything is measured.
    ///
    /// # Errors
    /// When the metric cannot be loaded.
    fn prepare(&self, stop: &Stop) -> Result<()>;

    /// The number for the outputs of one model.
    ///
    /// # Errors
    /// When the metric fails, gives no finite number, the job is stopped, or the time is up.
    fn score(&self, asked: &ScoreRequest, limit: &Limit) -> Result<f64>;
}

/// What a number is asked for. Folders hold `outputs.json` and the values that it names, raw; `_metric.py` reads them.
#[derive(Clone, Debug, Serialize)]
pub struct ScoreRequest {
    /// The folder with the outputs of the model that is judged.
    pub outputs: PathBuf,
    /// The folder with those of the original.
    pub original: PathBuf,
    /// The folder with what is known of the samples: labels, and where images lie in the input.
    pub samples: PathBuf,
}
