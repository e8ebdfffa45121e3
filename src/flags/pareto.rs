//! Flags of `pareto`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::goals::{CalibArgs, GoalArgs};
use super::setup::SetupArgs;
use crate::jobs::{MainSettings, ParetoSettings};
use crate::optimize::Amount;
use crate::{Error, Result};

/// Flags of `pareto`.
#[derive(Debug, ClapArgs)]
pub struct ParetoArgs {
    /// The model.
    pub model: PathBuf,
    /// Where to write the plot.
    #[arg(short, long, value_name = "CURVE.svg")]
    pub output: Option<PathBuf>,
    /// Make, time and judge so many of the plans.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub measure: usize,
    /// The device, the shapes, and what is known before.
    #[command(flatten)]
    pub setup: SetupArgs,
    /// Samples to fit weights on.
    #[command(flatten)]
    pub calib: CalibArgs,
    /// No layer becomes narrower than this.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_width: usize,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Show no progress.
    #[arg(short, long)]
    pub quiet: bool,
}

impl ParetoArgs {
    /// The same as settings.
    ///
    /// # Errors
    /// When a flag is not written as it should be.
    pub fn settings(&self) -> Result<ParetoSettings> {
        if self.calib.distill > 0 {
            return Err(Error::Usage(
                "--distill trains one model, and a curve has many: give it to the job or to `snapprune apply` of the plan that is taken".to_owned(),
            ));
        }
        // The curve is one of latencies; the widths on it are tail-free.
        let goals = GoalArgs {
            target_latency: Some(Amount::Times(1.0)),
            calib: self.calib.clone(),
            min_width: self.min_width,
            ..GoalArgs::default()
        };
        let MainSettings {
            device,
            store,
            on_busy,
            shapes,
            options,
            ..
        } = self.setup.settings(&goals)?;
        Ok(ParetoSettings {
            device,
            store,
            on_busy,
            shapes,
            options,
            measured: self.measure,
        })
    }
}
