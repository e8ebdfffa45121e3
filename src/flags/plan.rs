//! Flags of `plan` and `apply`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::data::DataArgs;
use super::goals::{CalibArgs, GoalArgs};
use super::judging::JudgingArgs;
use super::metric::MetricArgs;
use super::save::SaveArgs;
use super::setup::SetupArgs;
use super::shapes::ShapeArgs;
use crate::Result;
use crate::jobs::{ApplySettings, MainSettings, PlanFor};

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
            metric: self.metric.metric()?,
            library: self.ort_lib.clone(),
        })
    }
}
