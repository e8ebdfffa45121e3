//! Flags of `pareto`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::data::DataArgs;
use super::device::DeviceArgs;
use super::goals::{CalibArgs, GoalArgs};
use super::planning::PlanningArgs;
use super::shapes::ShapeArgs;
use super::store::StoreArgs;
use super::turn::TurnArgs;
use crate::Result;
use crate::jobs::ParetoSettings;
use crate::optimize::Amount;

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
    /// The device and the library.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// What may be planned, and from what.
    #[command(flatten)]
    pub planning: PlanningArgs,
    /// Samples to fit weights on.
    #[command(flatten)]
    pub calib: CalibArgs,
    /// No layer becomes narrower than this.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_width: usize,
    /// Real inputs.
    #[command(flatten)]
    pub data: DataArgs,
    /// The latency databases.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The device's turn.
    #[command(flatten)]
    pub turn: TurnArgs,
    /// Seed of the random inputs.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
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
        // The curve is one of latencies; the widths on it are tail-free.
        let goals = GoalArgs {
            target_latency: Some(Amount::Times(1.0)),
            calib: self.calib.clone(),
            min_width: self.min_width,
            ..GoalArgs::default()
        };
        Ok(ParetoSettings {
            device: self.device.settings(),
            store: self.store.settings(),
            on_busy: self.turn.on_busy(),
            shapes: self.shapes.workloads()?,
            options: self.planning.options(self.seed, &self.store, &goals, &self.data),
            measured: self.measure,
        })
    }
}
