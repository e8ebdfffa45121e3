//! Flags of the work on a model, the same for one model and for many.

use clap::Args as ClapArgs;

use crate::jobs::SettingsSearch;

use super::dynamic::DynamicArgs;
use super::goals::GoalArgs;
use super::metric::MetricArgs;
use super::save::SaveArgs;
use super::setup::SetupArgs;

/// What is done to a model, on what device.
#[derive(Clone, Debug, ClapArgs)]
pub struct WorkArgs {
    /// The device, the shapes, and what is known before.
    #[command(flatten)]
    pub setup: SetupArgs,
    /// Other settings of the provider (channels-last layout, graph capture): take the fastest, or keep to those given and say what the
    /// others would give (GPU).
    #[arg(long, value_enum, default_value_t)]
    pub settings: SettingsSearch,
    /// Make exact moves only: the outputs stay the same (the default without a goal).
    #[arg(long, conflicts_with_all = ["target_latency", "target_macs", "max_params", "max_memory", "max_drop"])]
    pub exact: bool,
    /// The dynamic variant.
    #[command(flatten)]
    pub dynamic: DynamicArgs,
    /// What a narrower model should reach.
    #[command(flatten)]
    pub goals: GoalArgs,
    /// A metric of the user's own.
    #[command(flatten)]
    pub metric: MetricArgs,
    /// How models are written.
    #[command(flatten)]
    pub save: SaveArgs,
}
