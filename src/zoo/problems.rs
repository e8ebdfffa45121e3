//! The problems of models' layers.

use serde::{Deserialize, Serialize};

use crate::optimize::Needs;
use crate::profile::{Problem, SessionSize, sessions};

/// What a model's planning begins with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Collected {
    /// Multiply-accumulates of one run.
    pub macs: u64,
    /// Its problems.
    pub needs: Needs,
}

/// Problems that are timed in one session, and about how long that takes in units of making one.
pub(super) fn units(problems: Vec<Problem>) -> Vec<(Vec<Problem>, f64)> {
    /// Multiply-accumulates that take about as long as making a session.
    const SESSION: f64 = 5e8;
    let work = |unit: &[Problem]| 1.0 + unit.iter().map(Problem::size).sum::<f64>() / SESSION;
    sessions(problems, SessionSize::default())
        .into_iter()
        .map(|u| (work(&u), u))
        .map(|(w, u)| (u, w))
        .collect()
}
