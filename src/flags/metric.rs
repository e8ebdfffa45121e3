//! The flag of a metric of the user's own.

use std::sync::Arc;

use clap::Args as ClapArgs;

use crate::Result;
use crate::verify::{PythonMetric, UserMetric};

/// A metric of the user's own.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct MetricArgs {
    /// A Python function that gives a number for a model's outputs on the --eval samples, the greater the better; --max-drop limits what
    /// it may lose. You vouch for the file: it is run.
    #[arg(long, value_name = "FILE.py:FUNCTION", requires = "eval")]
    pub metric: Option<String>,
}

impl MetricArgs {
    /// The metric, if there is one.
    ///
    /// # Errors
    /// When it is not written as it should be, or its file is not there.
    pub fn metric(&self) -> Result<Option<Arc<dyn UserMetric>>> {
        let made = self.metric.as_deref().map(PythonMetric::of).transpose()?;
        Ok(made.map(|metric| Arc::new(metric) as Arc<dyn UserMetric>))
    }
}
