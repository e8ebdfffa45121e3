//! Flags of what is planned, what it should reach, and on what data.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};

use super::args::StoreArgs;
use crate::data::Scaling;
use crate::optimize::{Amount, Goals, Growth, Options};

/// What may be planned, and from what.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct PlanningArgs {
    /// Times recorded earlier, used before measuring. Without --cpu and --gpu they may be of a device that is not
    /// here: then the plan rests on them alone, and the latency stays unverified.
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// End every step after this long, such as 60s or 5m, and go on with what has been found; checking what is written
    /// takes a few seconds more.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub time_budget: Option<Duration>,
    /// Leave the width of this layer as it is; may be given several times.
    #[arg(long, value_name = "LAYER")]
    pub keep: Vec<String>,
    /// Whether widths may grow.
    #[arg(long, value_enum, default_value_t)]
    pub grow: Growth,
    /// What new channels hold.
    #[arg(long, value_enum, default_value_t)]
    pub grow_init: GrowInit,
}

/// What new channels hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GrowInit {
    /// Zeros: nothing reads them.
    #[default]
    Zero,
    /// A copy of an old channel, which shares its work with it: exact, and ready to be trained on.
    Split,
}

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
    /// Narrow the model as far as it loses at most this top-1 on the --eval samples (agreement, without labels).
    #[arg(long, value_name = "0.5%", value_parser = percent, requires = "eval")]
    pub max_drop: Option<f64>,
    /// Write the model that reaches --target-macs or --max-params also where it was not measured to be faster.
    #[arg(long)]
    pub allow_slower: bool,
    /// Samples.
    #[command(flatten)]
    pub calib: CalibArgs,
    /// No layer becomes narrower than this.
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
}

/// A share from 0 to 1: `0.5%` or `0.005`.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    let (digits, unit) = match text.strip_suffix('%') {
        Some(digits) => (digits, 0.01),
        None => (text, 1.0),
    };
    let share = digits.trim().parse::<f64>().ok().map(|v| v * unit);
    let share = share.filter(|v| (0.0..=1.0).contains(v));
    share.ok_or_else(|| format!("'{text}': write a share such as 0.5%"))
}

/// Real inputs.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct DataArgs {
    /// Compare the models on these samples: an .npz with `images` (uint8, N×H×W×C) or arrays named after the
    /// inputs, and `labels` for top-1 and top-5; or a folder of PNG and JPEG images, folders in it being classes.
    #[arg(long, value_name = "DATA")]
    pub eval: Option<PathBuf>,
    /// Means of the image channels, for values from 0 to 1 [default: 0].
    #[arg(long, value_name = "R,G,B", value_delimiter = ',', allow_hyphen_values = true)]
    pub mean: Vec<f32>,
    /// Standard deviations of the image channels [default: 1].
    #[arg(long, value_name = "R,G,B", value_delimiter = ',')]
    pub std: Vec<f32>,
}

impl DataArgs {
    /// How images become inputs.
    pub(super) fn scaling(&self) -> Scaling {
        let given = |list: &[f32], default: f32| if list.is_empty() { vec![default] } else { list.to_vec() };
        Scaling {
            mean: given(&self.mean, 0.0),
            std: given(&self.std, 1.0),
        }
    }
}

impl PlanningArgs {
    /// As options of the main job.
    pub(super) fn options(&self, seed: u64, store: &StoreArgs, goals: &GoalArgs, data: &DataArgs) -> Options {
        let calib = goals.calib.calib.clone();
        Options {
            seed,
            eval: data.eval.clone().map(|path| (path, data.scaling())),
            calib: calib.map(|path| (path, data.scaling(), goals.calib.calib_samples)),
            goals: goals.goals(),
            allow_slower: goals.allow_slower,
            min_width: goals.min_width,
            time_budget: self.time_budget,
            keep: self.keep.clone(),
            growth: self.grow,
            split: self.grow_init == GrowInit::Split,
            dynamics: None,
            allow_mismatch: store.allow_mismatch,
            staircases: Duration::ZERO,
        }
    }
}

impl GoalArgs {
    /// As goals of the main job.
    pub(super) fn goals(&self) -> Goals {
        Goals {
            latency: self.target_latency,
            macs: self.target_macs,
            params: self.max_params,
            max_drop: self.max_drop,
        }
    }
}

/// Seconds, minutes or hours: `90`, `90s`, `5m`, `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let unit = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        other => return Err(format!("'{other}' is no unit; write 60s, 5m or 1h")),
    };
    let number = digits.parse::<f64>().map_err(|_| "write 60s, 5m or 1h".to_owned())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| "write 60s, 5m or 1h".to_owned())
}
