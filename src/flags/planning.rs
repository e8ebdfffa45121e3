//! Flags of what is planned, and from what.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::data::DataArgs;
use super::goals::GoalArgs;
use super::judging::JudgingArgs;
use super::store::StoreArgs;
use super::units::duration;
use crate::optimize::{ForeignTimes, GrowInit, Growth, Options, WhenSlower};
use crate::profile::DeployDtype;

/// What may be planned, and from what.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct PlanningArgs {
    /// Times recorded earlier, used before measuring. Without --cpu and --gpu they may be of a device that is not
    /// here: then the plan rests on them alone, and the latency stays unverified.
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// End every step after this long, such as 60s or 5m, and go on with what has been found; fitting has at least a
    /// quarter of it, and checking what is written takes a few seconds more.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub time_budget: Option<Duration>,
    /// Leave the width of this layer as it is; may be given several times.
    #[arg(long, value_name = "LAYER")]
    pub keep: Vec<String>,
    /// Whether widths may grow.
    #[arg(long, value_enum, default_value_t)]
    pub grow: Growth,
    /// The type in which this float model will be deployed: widths are chosen by timing that form (made for timing only, int8 with
    /// min-max scales of the samples), and the float model is written, for a quantizer or a cast to follow.
    #[arg(long, value_enum, value_name = "TYPE")]
    pub deploy_dtype: Option<DeployDtype>,
    /// What new channels hold.
    #[arg(long, value_enum, default_value_t)]
    pub grow_init: GrowInit,
    /// How outputs are judged.
    #[command(flatten)]
    pub judging: JudgingArgs,
}

impl PlanningArgs {
    /// As options of the main job.
    pub fn options(&self, seed: u64, store: &StoreArgs, goals: &GoalArgs, data: &DataArgs) -> Options {
        Options {
            seed,
            eval: data.eval(),
            metric: None,
            calib: goals.calib.calib(data),
            judging: self.judging.judging(),
            goals: goals.goals(),
            allowed: goals.allow,
            when_slower: if goals.allow_slower {
                WhenSlower::Write
            } else {
                WhenSlower::Decline
            },
            min_width: goals.min_width,
            time_budget: self.time_budget,
            keep: self.keep.clone(),
            growth: self.grow,
            grow_init: self.grow_init,
            deploy_dtype: self.deploy_dtype,
            requantize: goals.calib.requantize,
            distill: goals.calib.distill,
            dynamics: None,
            foreign_times: if store.allow_mismatch {
                ForeignTimes::Accept
            } else {
                ForeignTimes::Refuse
            },
            latency_steps: Duration::ZERO,
        }
    }
}
