//! Growing up to the right edge of the plateau that a width stands on: room for training that costs no time.

use super::choose::{Chosen, Job};
use super::counts;
use crate::Result;
use crate::plan::{Candidates, Costs, Plan};
use crate::profile::Prober;
use crate::verify::Verdict;

/// Seconds of the race that must not show the grown model to be slower.
const SECONDS: f64 = 3.0;
/// Slower by less than this is within what a race can tell.
const FREE: f64 = 1.005;

impl Job<'_> {
    /// `plan` with every further group grown to the widest candidate that its layers' times do not rise for, as long as the
    /// whole model is not measured to be slower for it; `None` when nothing grows.
    pub(super) fn grow_for_free(
        &self,
        plan: Plan,
        candidates: &Candidates,
        costs: &mut Costs,
        prober: &mut Prober,
    ) -> Result<Option<Chosen>> {
        let analysis = &self.opened.analysis;
        let mut grown: Vec<(usize, usize, f64)> = Vec::new();
        let mut now = counts(analysis, &plan);
        for (&g, options) in candidates.iter().filter(|(g, _)| !plan.counts.contains_key(g)) {
            let layers = costs.touched_by(g).to_vec();
            let with = |n: usize| {
                let mut other = now.clone();
                other[g] = n;
                other
            };
            let wanted: Vec<_> = options.iter().map(|&n| (layers.clone(), with(n))).collect();
            costs.require(prober, &wanted, &|_, _| {})?;
            let Some((present, noise)) = costs.of(&layers, &now) else {
                continue;
            };
            let free = options.iter().copied().filter(|&n| n > now[g]).filter_map(|n| {
                let (ms, own) = costs.of(&layers, &with(n))?;
                (ms <= present + noise.hypot(own)).then_some((n, ms - present))
            });
            if let Some((n, rise)) = free.max_by_key(|f| f.0) {
                grown.push((g, n, rise));
                now[g] = n;
            }
        }
        // Those with the least rise first; half of them are given up each time the model turns out slower.
        grown.sort_by(|a, b| a.2.total_cmp(&b.2).then(a.0.cmp(&b.0)));
        while !grown.is_empty() {
            let mut wider = plan.clone();
            wider.counts.extend(grown.iter().map(|&(g, n, _)| (g, n)));
            let plans = if plan.is_empty() {
                vec![wider.clone()]
            } else {
                vec![plan.clone(), wider.clone()]
            };
            let benchmarked = self.measure(&plans, prober, SECONDS)?;
            let before = if plan.is_empty() { 1.0 } else { benchmarked[0].0 };
            let after = benchmarked.last().map_or((f64::INFINITY, Verdict::Slower), |r| *r);
            if after.1 != Verdict::Slower && after.0 <= before * FREE {
                let proto = self.apply(&wider)?;
                return Ok(Some(Chosen { plan: wider, proto }));
            }
            grown.truncate(grown.len() / 2);
        }
        Ok(None)
    }
}
