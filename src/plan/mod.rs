//! Which widths: candidates for each group, and a search over measured costs.

mod candidates;
mod constants;
mod cost;
mod file;
mod moves;
mod removable;
mod search;

pub use candidates::{Candidates, candidates};
pub use cost::Costs;
pub use file::{PlanFile, PlannedGroup, folds_of};
pub use moves::{Move, Plan};
pub use removable::{Fold, Removable, removable};
pub use search::{Found, search};
