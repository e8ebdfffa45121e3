//! Flags of `bench`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::data::DataArgs;
use super::device::DeviceArgs;
use super::judging::JudgingArgs;
use super::metric::MetricArgs;
use super::shapes::ShapeArgs;
use super::turn::TurnArgs;
use crate::Result;
use crate::jobs::BenchSettings;

/// Flags of `bench`.
#[derive(Debug, ClapArgs)]
pub struct BenchArgs {
    /// The models; all must take the same inputs.
    #[arg(required = true, value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// The device and the library.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// Real inputs: top-1 and top-5 of every model, or the numbers of its task beside the first model's answers and the labels.
    #[command(flatten)]
    pub data: DataArgs,
    /// The models' task.
    #[command(flatten)]
    pub judging: JudgingArgs,
    /// A metric of the user's own.
    #[command(flatten)]
    pub metric: MetricArgs,
    /// The device's turn.
    #[command(flatten)]
    pub turn: TurnArgs,
    /// Seconds to measure, about.
    #[arg(long, default_value_t = 6.0)]
    pub seconds: f64,
    /// Seed of the random inputs.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl BenchArgs {
    /// The same as settings.
    ///
    /// # Errors
    /// When a flag is not written as it should be.
    pub fn settings(&self) -> Result<BenchSettings> {
        Ok(BenchSettings {
            models: self.models.clone(),
            device: self.device.settings(),
            on_busy: self.turn.on_busy(),
            shapes: self.shapes.only()?,
            eval: self.data.eval(),
            judging: self.judging.judging(),
            metric: self.metric.metric()?,
            seconds: self.seconds,
            seed: self.seed,
        })
    }
}
