//! Flags of the work on a model, the same for one model and for many.

use clap::Args as ClapArgs;

use super::data::DataArgs;
use super::device::DeviceArgs;
use super::dynamic::DynamicArgs;
use super::goals::GoalArgs;
use super::planning::PlanningArgs;
use super::save::SaveArgs;
use super::shapes::ShapeArgs;
use super::store::StoreArgs;
use super::turn::TurnArgs;

/// What is done to a model, on what device.
#[derive(Clone, Debug, ClapArgs)]
pub struct WorkArgs {
    /// The device and the library.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// Make exact moves only: the outputs stay the same (the default without a goal).
    #[arg(long, conflicts_with_all = ["target_latency", "target_macs", "max_params", "max_memory", "max_drop"])]
    pub exact: bool,
    /// The dynamic variant.
    #[command(flatten)]
    pub dynamic: DynamicArgs,
    /// What may be planned, and from what.
    #[command(flatten)]
    pub planning: PlanningArgs,
    /// What a narrower model should reach.
    #[command(flatten)]
    pub goals: GoalArgs,
    /// Real inputs.
    #[command(flatten)]
    pub data: DataArgs,
    /// The latency databases.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The device's turn.
    #[command(flatten)]
    pub turn: TurnArgs,
    /// How models are written.
    #[command(flatten)]
    pub save: SaveArgs,
    /// Seed of the random inputs.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}
