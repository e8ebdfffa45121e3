//! The original's number, and those of the models that are held against it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::files::{write_outputs, write_samples};
use super::user_metric::{ScoreRequest, UserMetric};
use crate::data::Dataset;
use crate::device::{Device, Limit};
use crate::{Error, Result};

/// The numbers of two models; greater is better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricScores {
    /// What the metric is called.
    pub name: String,
    /// The original's number.
    pub original: f64,
    /// The rewritten model's.
    #[serde(rename = "static")]
    pub rewritten: f64,
}

impl MetricScores {
    /// By how much the rewritten model does worse.
    pub fn drop(&self) -> f64 {
        self.original - self.rewritten
    }
}

/// A metric on a job's evaluation samples.
pub struct MetricJudge<'a> {
    metric: Arc<dyn UserMetric>,
    device: &'a dyn Device,
    data: &'a Dataset,
    /// Outputs and labels as files; the outputs of the original stay.
    folder: TempDir,
    original: f64,
    /// When the time is up, and how long the original's number took.
    limit: Limit,
    took: Duration,
}

/// A model's number may take so many times as long as the original's when the time is nearly up, and at least so long.
const TIMES: u32 = 3;
const LEAST: Duration = Duration::from_secs(10);

impl<'a> MetricJudge<'a> {
    /// Runs the original on all samples and asks for its number. `report` is given how many runs of how many are done.
    ///
    /// # Errors
    /// When a run or the metric fails, or a file cannot be written.
    pub fn of(
        metric: Arc<dyn UserMetric>,
        device: &'a dyn Device,
        original: &[u8],
        data: &'a Dataset,
        report: &dyn Fn(usize, usize),
    ) -> Result<Self> {
        let limit = Limit::new(device.stop(), None);
        Self::within(limit, metric, (device, original), data, report)
    }

    /// The same where time is limited: the original's number must be there before it is up, and those of other models then or in about the
    /// time that the original's took.
    ///
    /// # Errors
    /// Those of [`Self::of`], and when the time is up.
    pub fn within(
        limit: Limit,
        metric: Arc<dyn UserMetric>,
        (device, original): (&'a dyn Device, &[u8]),
        data: &'a Dataset,
        report: &dyn Fn(usize, usize),
    ) -> Result<Self> {
        metric.prepare(&device.stop())?;
        let folder = tempfile::Builder::new().prefix("snapprune-").tempdir();
        let mut judge = Self {
            metric,
            device,
            data,
            folder: folder.map_err(|e| Error::file(std::env::temp_dir(), e))?,
            original: 0.0,
            limit,
            took: Duration::ZERO,
        };
        write_samples(&judge.folder.path().join("samples"), data)?;
        write_outputs(&judge.folder.path().join("original"), device, original, data, report)?;
        let began = Instant::now();
        judge.original = judge.score_of("original", &judge.limit)?;
        judge.took = began.elapsed();
        Ok(judge)
    }

    /// The original's number.
    pub fn original(&self) -> f64 {
        self.original
    }

    /// The numbers of the original and of another model.
    ///
    /// # Errors
    /// Those of [`Self::of`].
    pub fn compared(&self, model: &[u8], report: &dyn Fn(usize, usize)) -> Result<MetricScores> {
        self.compared_on(self.data, model, report)
    }

    /// The same of a model that takes another number of them at a time: `data` are the same samples in other runs.
    ///
    /// # Errors
    /// Those of [`Self::of`].
    pub fn compared_on(&self, data: &Dataset, model: &[u8], report: &dyn Fn(usize, usize)) -> Result<MetricScores> {
        let folder = self.folder.path().join("rewritten");
        write_outputs(&folder, self.device, model, data, report)?;
        Ok(MetricScores {
            name: self.metric.name().to_owned(),
            original: self.original,
            rewritten: self.score_of("rewritten", &self.limit.at_least((TIMES * self.took).max(LEAST)))?,
        })
    }

    fn score_of(&self, outputs: &str, limit: &Limit) -> Result<f64> {
        let at = |part: &str| self.folder.path().join(part);
        let asked = ScoreRequest {
            outputs: at(outputs),
            original: at("original"),
            samples: at("samples"),
        };
        self.metric.score(&asked, limit)
    }
}
