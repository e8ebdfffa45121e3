//! Flags of every job that plans: the device, the shapes, and what is known before.

use clap::Args as ClapArgs;

use super::data::DataArgs;
use super::device::DeviceArgs;
use super::goals::GoalArgs;
use super::planning::PlanningArgs;
use super::shapes::ShapeArgs;
use super::store::StoreArgs;
use super::turn::TurnArgs;
use crate::Result;
use crate::jobs::MainSettings;

/// On what device, at which shapes, from which times and samples a model is planned.
#[derive(Clone, Debug, ClapArgs)]
pub struct SetupArgs {
    /// The device and the library.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Input shapes.
    #[command(flatten)]
    pub shapes: ShapeArgs,
    /// What may be planned, and from what.
    #[command(flatten)]
    pub planning: PlanningArgs,
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
}

impl SetupArgs {
    /// The same as settings of a job with these goals, without gates and further latency steps.
    ///
    /// # Errors
    /// When a flag is not written as it should be.
    pub fn settings(&self, goals: &GoalArgs) -> Result<MainSettings> {
        Ok(MainSettings {
            device: self.device.settings(),
            profile: self.planning.profile.clone(),
            store: self.store.settings(),
            on_busy: self.turn.on_busy(),
            shapes: self.shapes.workloads()?,
            options: self.planning.options(self.seed, &self.store, goals, &self.data),
        })
    }
}
