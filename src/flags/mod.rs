//! The flags: how they are written, and the settings of jobs that they make. The command line, the workers of a zoo and the Python
//! module read the same flags, so that they have one set of names and checks.

mod bench;
mod choices;
mod command_line;
mod data;
mod db;
mod device;
mod doctor;
mod dynamic;
mod given;
mod goals;
mod hints;
mod inspect;
mod judging;
mod main_job;
mod metric;
mod pareto;
mod plan;
mod planning;
mod play;
mod profile;
#[cfg(test)]
mod roles;
mod sample_hints;
mod save;
mod setup;
mod shapes;
mod store;
mod turn;
mod typed;
mod units;
mod verify;
mod widths;
mod work;
mod zoo;
mod zoo_setup;

pub use bench::BenchArgs;
#[cfg(feature = "python")]
pub use command_line::parsed;
pub use command_line::{Command, CommandLine};
pub use db::{DbAction, DbArgs};
pub use device::DeviceArgs;
pub use doctor::DoctorArgs;
pub use given::main_job;
pub use goals::goal_flags;
pub use hints::{add_hints, declined_hint, declined_reason, gates_hint, hint, reason};
pub use inspect::{ExplainArgs, InspectArgs};
pub use main_job::MainArgs;
pub use pareto::ParetoArgs;
pub use plan::{ApplyArgs, PlanArgs};
pub use play::PlayArgs;
pub use profile::ProfileArgs;
pub use typed::typed;
pub use verify::VerifyArgs;
pub use widths::WidthsArgs;
pub use zoo::ZooArgs;
