//! Flags of what a narrower model should reach.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::data::DataArgs;
use super::units::percent;
use crate::optimize::{Allowed, Amount, Goals, SampleSource};
use crate::plan::{Metric, PerMetric};
use crate::reconstruct::CalibrationMethod;
use crate::{Error, Result};

/// What a narrower model should reach.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct GoalArgs {
    /// Narrow the model until it takes at most this: 0.7x of its latency, or 3.2ms.
    #[arg(long, value_name = "0.7x|3.2ms")]
    pub target_latency: Option<Amount>,
    /// Narrow the model until it has at most these multiply-accumulates for one sample: 0.7x, or 80M.
    #[arg(long, value_name = "0.7x|80M")]
    pub target_macs: Option<Amount>,
    /// Narrow the model until it has at most these parameters: 0.5x, or 2M.
    #[arg(long, value_name = "0.5x|2M")]
    pub max_params: Option<Amount>,
    /// Narrow the model until its activations that are alive at once take at most this: 0.8x, or 64MiB.
    #[arg(long, value_name = "0.8x|64MiB")]
    pub max_memory: Option<Amount>,
    /// Narrow the model as far as it loses at most this of its task's number (top-1, mAP50, mIoU, ...) on the --eval samples (of the
    /// agreement with the original, without labels), or this much of --metric. One half of them is searched on, the other half judges.
    #[arg(long, value_name = "0.5%", value_parser = percent, requires = "eval")]
    pub max_drop: Option<f64>,
    /// Write the model that reaches --target-macs, --max-params or --max-memory also where it was not measured to be faster.
    #[arg(long)]
    pub allow_slower: bool,
    /// What a plan for a goal may do, some of: widths (take channels out), rotation (take principal directions out of linear trunks),
    /// zero (take residual branches out as a whole), rank (make two layers of one). All but the first need samples.
    #[arg(long, value_name = "MOVES", default_value = "widths,rotation,zero")]
    pub allow: Allowed,
    /// Samples.
    #[command(flatten)]
    pub calib: CalibArgs,
    /// No layer becomes narrower than this; with more than 1, no branch goes as a whole.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_width: usize,
}

/// Samples for calibration.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct CalibArgs {
    /// Samples to fit weights on when channels go: .npz or folder, like --eval; labels are not used.
    #[arg(long, value_name = "DATA")]
    pub calib: Option<PathBuf>,
    /// Take at most so many of them (0: all).
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub calib_samples: usize,
    /// Choose the scales of a quantized model's activations anew from these samples, where the narrower model loses less with them
    /// [default: they stay].
    #[arg(long, value_enum, value_name = "METHOD", requires = "calib")]
    pub requantize: Option<CalibrationMethod>,
    /// Train all weights of the narrower model together on these samples for at most so many gradient steps, with the original as the teacher;
    /// taken where the model then loses less. In a job they take a quarter longer than the search and the fit at most, or ten minutes. The dynamic
    /// variant is trained with its gates in place, for as many steps whatever they take.
    #[arg(long, value_name = "STEPS", default_value_t = 0, requires = "calib")]
    pub distill: usize,
}

impl GoalArgs {
    /// That the scales of activations are chosen anew only where a goal makes the model narrower, and weights are trained only where it does or
    /// gates are put in.
    ///
    /// # Errors
    /// When they are, and no goal is given.
    pub fn check(&self, gates: bool) -> Result<()> {
        let goals = self.goals();
        let any = goals.max_drop.is_some() || Metric::ALL.iter().any(|&m| goals.limits[m].is_some());
        if self.calib.requantize.is_some() && !any {
            return Err(Error::Usage(
                "--requantize chooses the scales of a model that becomes narrower: give a goal too, such as --target-macs 0.7x".to_owned(),
            ));
        }
        if self.calib.distill > 0 && !any && !gates {
            return Err(Error::Usage(
                "--distill trains a model that becomes narrower or gets gates: give a goal too, such as --target-macs 0.7x, or let gates be made"
                    .to_owned(),
            ));
        }
        if self.calib.distill > 0 && goals.max_drop.is_some() {
            return Err(Error::Usage(
                "--distill changes the weights of a model that --max-drop has chosen for what it loses: give one of the two".to_owned(),
            ));
        }
        Ok(())
    }

    /// As goals of the main job.
    pub fn goals(&self) -> Goals {
        Goals {
            limits: PerMetric::from_fn(|metric| match metric {
                Metric::Latency => self.target_latency,
                Metric::Macs => self.target_macs,
                Metric::Params => self.max_params,
                Metric::Memory => self.max_memory,
            }),
            max_drop: self.max_drop,
        }
    }
}

impl CalibArgs {
    /// The samples to fit weights on, and how many of them at most.
    pub fn calib(&self, data: &DataArgs) -> Option<SampleSource> {
        let path = self.calib.as_ref()?;
        Some(SampleSource::new(path, data.preprocessing()).at_most(self.calib_samples))
    }
}

/// What a command takes besides to reach for a latency, where samples were given or not.
pub fn goal_flags(latency: &str, samples: bool) -> String {
    let data = if samples { "" } else { " --calib DATA" };
    format!("--target-latency {latency}{data}")
}
