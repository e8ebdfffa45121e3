//! What must be timed before anything is chosen, so that many models can share it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::datasets::Datasets;
use super::lossy;
use super::options::Options;
use super::prepare::Request;
use super::reporter::NoReporter;
use super::session::Session;
use super::workload::{Known, Workload};
use crate::Result;
use crate::device::{DeviceInfo, Limit, RecordedDevice, Runtime};
use crate::plan::{ChannelCounts, LatencyModel, starts, sweep};
use crate::profile::{Problem, layers};

/// The problems that the main job asks for as long as it does not know a single time. Which others it asks for depends on the
/// times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Needs {
    /// Layers that are timed.
    pub layers: usize,
    /// The problems, each once.
    pub problems: Vec<Problem>,
    /// How many of them, from the first on, are of the model as it is, or otherwise needed in any case.
    pub must: usize,
    /// True if every required problem matters. If false, those that no alternative changes may be skipped: they add the same time to
    /// every plan.
    pub all: bool,
    /// What the others are for.
    pub alternatives: Vec<Alternative>,
}

/// Other widths for some layers, which are of use only if they make the layers faster together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// Problem before, problem after, and for how many layers (by their share of the workload).
    pub changes: Vec<(usize, usize, f64)>,
    /// The alternative that this one starts from, if not from the model as it is.
    pub from: Option<usize>,
}

/// The problems that planning for this model begins with.
///
/// # Errors
/// When the workloads do not fit each other or the flags not the model.
pub fn needs(workloads: &[Workload], runtime: &Runtime, options: &Options) -> Result<Needs> {
    // A device that is not here and of which nothing is known.
    let nowhere = RecordedDevice::new(runtime.clone(), DeviceInfo::default());
    let mut needs = Needs::default();
    for workload in workloads {
        needs.layers += layers(&workload.opened.graph()?, &workload.opened.analysis).len();
    }
    let request = Request {
        workloads,
        device: &nowhere,
        options,
        reporter: &NoReporter,
    };
    let data = Datasets::default();
    let mut session = Session::begin(request, Known::default(), &data, Limit::default())?;
    let mut at = HashMap::new();
    needs.require(&mut at, &mut session);
    if options.goals.any() {
        // Every width may be worth its loss.
        lossy::ask(&mut session)?;
        needs.require(&mut at, &mut session);
        needs.all = true;
        return Ok(needs);
    }
    let (base, costs) = (session.present(), &session.costs);
    for start in starts(session.analysis(), &session.candidates) {
        let from = (start != base).then_some(needs.alternatives.len());
        if start != base {
            let all = costs.all();
            needs.compare(&mut at, costs, &all, &base, &start, None);
        }
        for (g, other) in sweep(&start, &session.candidates) {
            needs.compare(&mut at, costs, costs.touched_by(g), &start, &other, from);
        }
    }
    Ok(needs)
}

impl Needs {
    /// What the session asked for so far is needed in any case.
    fn require(&mut self, at: &mut HashMap<String, usize>, session: &mut Session) {
        for problem in std::mem::take(&mut session.prober.wanted) {
            self.index(at, problem);
        }
        self.must = self.problems.len();
    }

    fn index(&mut self, at: &mut HashMap<String, usize>, problem: Problem) -> usize {
        *at.entry(problem.key()).or_insert_with(|| {
            self.problems.push(problem);
            self.problems.len() - 1
        })
    }

    fn compare(
        &mut self,
        at: &mut HashMap<String, usize>,
        costs: &LatencyModel,
        layers: &[usize],
        before: &ChannelCounts,
        after: &ChannelCounts,
        from: Option<usize>,
    ) {
        let mut changes: Vec<(usize, usize, f64)> = Vec::new();
        for &layer in layers {
            let a = self.index(at, costs.problem_at(layer, before));
            let b = self.index(at, costs.problem_at(layer, after));
            match changes.iter_mut().find(|c| (c.0, c.1) == (a, b)) {
                _ if a == b => {}
                Some(known) => known.2 += costs.layers()[layer].weight,
                None => changes.push((a, b, costs.layers()[layer].weight)),
            }
        }
        if !changes.is_empty() {
            self.alternatives.push(Alternative { changes, from });
        } else if from.is_none() && before != after {
            // A start without a change has a place all the same, so that sweeps from it find it.
            self.alternatives.push(Alternative::default());
        }
    }
}
