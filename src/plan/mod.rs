//! Which widths: candidates for each group, and a search over measured costs.

mod candidates;
mod constants;
mod cost;
mod curve;
mod eliminate;
mod file;
mod moves;
mod narrow;
mod pareto;
mod removable;
mod resource;
mod search;
mod steps;

pub use candidates::{Candidates, candidates};
pub use cost::{Costs, WidthPair};
pub use curve::LossCurve;
pub use eliminate::{Elimination, Factor, minimize};
pub use file::{PlanFile, PlannedGroup, folds_of};
pub use moves::{Move, Plan};
pub use narrow::{narrower, without_tail};
pub use pareto::{Frontier, ParetoPoint};
pub use removable::{Fold, Removable, removable};
pub use resource::{Resource, SearchSpace};
pub use search::{Found, search, starts, sweep};
