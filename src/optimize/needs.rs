//! What must be timed before anything is chosen, so that many models can share it.

use std::collections::HashSet;

use super::prepare::prepared;
use super::{Load, Options, Watcher};
use crate::Result;
use crate::plan::search;
use crate::profile::{Problem, layers};
use crate::target::{DeviceInfo, RecordedTarget, Runtime};

/// Tells nobody.
struct Nobody;

impl Watcher for Nobody {
    fn step(&self, _: &str) {}
    fn progress(&self, _: usize, _: usize) {}
}

/// The layers that are timed, and the problems that any plan for this model needs, each once: those that the main job asks for
/// as long as it does not know a single time. Which others it asks for depends on the times.
///
/// # Errors
/// When the loads do not fit each other or the flags not the model.
pub fn problems(loads: &[Load], runtime: &Runtime, options: &Options) -> Result<(usize, Vec<Problem>)> {
    // A device that is not here and of which nothing is known.
    let nowhere = RecordedTarget::new(runtime.clone(), DeviceInfo::default());
    let options = Options {
        eval: None,
        calib: None,
        ..options.clone()
    };
    let mut count = 0;
    for load in loads {
        count += layers(&load.opened.graph()?, &load.opened.analysis).len();
    }
    let mut wanted = prepared(loads, &nowhere, (None, None), &options, &Nobody, |p, costs, prober| {
        if options.goals.any() {
            p.narrowing_of().ask(costs, prober)?;
        } else {
            search(&p.opened.analysis, &p.candidates, costs, prober, &|_, _| {})?;
        }
        Ok(std::mem::take(&mut prober.wanted))
    })?;
    let mut seen = HashSet::new();
    wanted.retain(|p| seen.insert(p.key()));
    Ok((count, wanted))
}
