//! A plan that a search chose.

use super::search::Search;
use crate::optimize::fitting::Fitted;
use crate::plan::{ParetoPoint, Plan};

/// A plan that was chosen.
pub(super) struct Chosen {
    pub plan: Plan,
    /// Its predicted loss.
    pub loss: f64,
    /// Its model, where weights have been fitted already.
    pub fitted: Option<Fitted>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Chosen {
    /// The plan of a point, nothing fitted yet.
    pub fn of(search: &Search, point: &ParetoPoint) -> Self {
        Self {
            plan: search.plan(point),
            loss: point.loss,
            fitted: None,
            notes: Vec::new(),
        }
    }
}
