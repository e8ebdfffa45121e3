//! The problems of a zoo's layers, each once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::flags::Flags;
use crate::profile::{Problem, sessions};

/// What a model needs timed, whatever is chosen for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Collected {
    /// Multiply-accumulates of one run.
    pub macs: u64,
    /// Layers that are timed.
    pub layers: usize,
    /// Its problems, each once.
    pub problems: Vec<Problem>,
}

/// Problems that are timed in one session, for a device and its options.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The device's flags.
    pub flags: Flags,
    /// The problems.
    pub problems: Vec<Problem>,
    /// About how long that takes, in units of a session's own cost.
    pub work: f64,
}

/// All models' problems, each once for every set of device flags.
#[derive(Debug, Default)]
pub struct Distinct {
    found: BTreeMap<Vec<String>, (Flags, BTreeMap<String, Problem>)>,
    /// Problems of all models, each model's counted for itself.
    pub needed: usize,
}

impl Distinct {
    /// Adds a model's.
    pub fn add(&mut self, flags: &Flags, collected: Collected) {
        self.needed += collected.problems.len();
        let device = flags.of_device();
        let (_, known) = self.found.entry(device.words()).or_insert_with(|| (device, BTreeMap::new()));
        known.extend(collected.problems.into_iter().map(|p| (p.key(), p)));
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.found.values().map(|(_, p)| p.len()).sum()
    }

    /// In sessions.
    pub fn units(self) -> Vec<Unit> {
        let of = |(flags, problems): (Flags, BTreeMap<String, Problem>)| {
            let all = units(problems.into_values().collect());
            all.into_iter().map(move |problems| Unit {
                flags: flags.clone(),
                work: 1.0 + problems.iter().map(Problem::size).sum::<f64>() / SESSION,
                problems,
            })
        };
        self.found.into_values().flat_map(of).collect()
    }
}

/// Multiply-accumulates that take about as long as making a session.
const SESSION: f64 = 5e8;

/// Problems in groups that are timed in one session each.
pub fn units(problems: Vec<Problem>) -> Vec<Vec<Problem>> {
    sessions(problems)
}
