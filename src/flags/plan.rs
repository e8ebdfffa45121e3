//! Flags of `plan` and `apply`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::data::DataArgs;
use super::goals::{CalibArgs, GoalArgs};
use super::judging::JudgingArgs;
use super::metric::MetricArgs;
use super::save::SaveArgs;
use super::setup::SetupArgs;
use super::shapes::ShapeArgs;
use super::units::duration;
use crate::Result;
use crate::jobs::{ApplySettings, DeviceChoice, DeviceSettings, MainSettings, PlanFor};

/// Flags of `plan`.
#[derive(Debug, ClapArgs)]
pub struct PlanArgs {
    /// The model.
    pub model: PathBuf,
    /// Where to write the plan.
    #[arg(short, long, value_name = "PLAN.json")]
    pub output: PathBuf,
    /// The device, the shapes, and what is known before.
    #[command(flatten)]
    pub setup: SetupArgs,
    /// What a narrower model should reach.
    #[command(flatten)]
    pub goals: GoalArgs,
    /// A metric of the user's own.
    #[command(flatten)]
    pub metric: MetricArgs,
    /// Print nothing but errors.
    #[arg(short, long)]
    pub quiet: bool,
}

/// Flags of `apply`.
#[derive(Debug, ClapArgs)]
pub struct ApplyArgs {
    /// The model.
    pub model: PathBuf,
    /// The plan.
    pub plan: PathBuf,
    /// Where to write the model.
    #[arg(short, long, value_name = "OUT.onnx")]
    pub output: PathBuf,
    /// How the model is written.
    #[command(flatten)]
    pub save: SaveArgs,
    /// Apply it to the same network with other weights than the plan was made for.
    #[arg(long)]
    pub other_weights: bool,
    /// Samples to fit weights on; without, what is removed is made up for by nothing.
    #[command(flatten)]
    pub calib: CalibArgs,
    /// How outputs are judged.
    #[command(flatten)]
    pub judging: JudgingArgs,
    /// How images become inputs, and real inputs to compare the models on.
    #[command(flatten)]
    pub data: DataArgs,
    /// A metric of the user's own.
    #[command(flatten)]
    pub metric: MetricArgs,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// Fit weights and run models on this NVIDIA GPU [default: on the CPU].
    #[arg(long, value_name = "N", conflicts_with = "threads")]
    pub gpu: Option<usize>,
    /// Threads within a node on the CPU [default: as many as a plain InferenceSession of ONNX Runtime has here].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub threads: usize,
    /// Plan as many gradient steps as this time allows, such as 90s, 5m [default: all that are asked for].
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "distill")]
    pub distill_budget: Option<Duration>,
    /// Seed of the order of samples in gradient steps, and of the random inputs.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
    /// Print nothing but errors.
    #[arg(short, long)]
    pub quiet: bool,
}

impl PlanArgs {
    /// The same as settings.
    ///
    /// # Errors
    /// When a flag is not written as it should be.
    pub fn settings(&self) -> Result<MainSettings> {
        self.goals.check(false)?;
        let mut settings = self.setup.settings(&self.goals)?;
        settings.options.metric = self.metric.metric()?;
        Ok(settings)
    }
}

impl ApplyArgs {
    /// The same as settings.
    ///
    /// # Errors
    /// When a flag is not written as it should be.
    pub fn settings(&self) -> Result<ApplySettings> {
        Ok(ApplySettings {
            plan: self.plan.clone(),
            plan_for: if self.other_weights {
                PlanFor::OtherWeights
            } else {
                PlanFor::SameFile
            },
            shapes: self.shapes.only()?,
            eval: self.data.eval(),
            judging: self.judging.judging(),
            calib: self.calib.calib(&self.data),
            requantize: self.calib.requantize,
            distill: self.calib.distill,
            distill_budget: self.distill_budget,
            seed: self.seed,
            metric: self.metric.metric()?,
            device: DeviceSettings {
                choice: self.gpu.map_or(DeviceChoice::Cpu, DeviceChoice::Gpu),
                threads: self.threads,
                library: self.ort_lib.clone(),
                ..Default::default()
            },
        })
    }
}
