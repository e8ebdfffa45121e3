//! Coordinate descent over the groups' candidate widths, from several starts.

use std::collections::BTreeSet;

use super::candidates::Candidates;
use super::estimate::Estimate;
use super::latency::LatencyModel;
use super::layer_groups::{ChannelCounts, LayersAt};
use super::moves::Plan;
use crate::Result;
use crate::channels::Analysis;
use crate::profile::{ProbeProgress, Prober};

/// A plan that the search found, with its predicted time.
#[derive(Clone, Debug)]
pub struct Found {
    /// The plan.
    pub plan: Plan,
    /// Predicted time of what it may change, milliseconds.
    pub layers_ms: f64,
}

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct FoundPlans {
    /// Predicted time of what may change as it is, milliseconds; infinite where it is not known.
    pub present_ms: f64,
    /// The plans that it settled on, the fastest predicted first.
    pub settled: Vec<Found>,
    /// Every width up to one block size, which people do by hand, the fastest predicted first.
    pub rounded: Vec<Found>,
}

/// Sweeps over all groups before a start is given up as settled.
const SWEEPS: usize = 4;

/// Distinct plans; the empty plan is left out.
///
/// Each start rounds every group to one block size; then group after group takes the width that is
/// fastest with its neighbours as they are. A width must win by more than the noise of the times
/// compared. Ties go to the width nearest to the present one, then to the lower group number.
///
/// # Errors
/// When a probe fails.
pub fn search(
    analysis: &Analysis,
    candidates: &Candidates,
    costs: &mut LatencyModel,
    prober: &mut Prober,
    progress: ProbeProgress,
) -> Result<FoundPlans> {
    let base: ChannelCounts = analysis.groups.iter().map(|g| g.classes.len()).collect();
    let starts = starts(analysis, candidates);
    let all = costs.all();
    let plan_of = |counts: &ChannelCounts| Plan {
        counts: candidates
            .keys()
            .filter(|&&g| counts[g] != base[g])
            .map(|&g| (g, counts[g]))
            .collect(),
        ..Plan::default()
    };
    let under = |counts: &ChannelCounts| LayersAt {
        layers: all.clone(),
        counts: counts.clone(),
    };
    let first: Vec<LayersAt> = starts.iter().map(under).collect();
    costs.require(prober, &first, progress)?;
    let mut seen: BTreeSet<Plan> = BTreeSet::new();
    let known = predicted(Plan::default(), &base, candidates, costs);
    let mut found = FoundPlans {
        present_ms: known.map_or(f64::INFINITY, |f| f.layers_ms),
        ..FoundPlans::default()
    };
    for start in &starts {
        let settled = descend(&base, start.clone(), candidates, costs, prober, progress)?;
        let plan = plan_of(&settled);
        if plan.is_empty() || !seen.insert(plan.clone()) {
            continue;
        }
        costs.require(prober, &[under(&settled)], progress)?;
        found.settled.extend(predicted(plan, &settled, candidates, costs));
    }
    for start in &starts {
        let plan = plan_of(start);
        if !plan.is_empty() && seen.insert(plan.clone()) {
            found.rounded.extend(predicted(plan, start, candidates, costs));
        }
    }
    for plans in [&mut found.settled, &mut found.rounded] {
        plans.sort_by(|a, b| a.layers_ms.total_cmp(&b.layers_ms));
    }
    Ok(found)
}

/// A plan with its predicted time; `None` where a layer was not timed.
fn predicted(plan: Plan, counts: &ChannelCounts, candidates: &Candidates, costs: &LatencyModel) -> Option<Found> {
    let layers = costs.of(&costs.all(), counts)?;
    let moved = candidates.keys().map(|&g| costs.moved_ms(g, counts));
    let layers_ms = layers.ms + moved.sum::<f64>();
    Some(Found { plan, layers_ms })
}

/// Where the search starts from: the present counts first, then all groups rounded up to one block size.
pub fn starts(analysis: &Analysis, candidates: &Candidates) -> Vec<ChannelCounts> {
    let base: ChannelCounts = analysis.groups.iter().map(|g| g.classes.len()).collect();
    let mut starts: Vec<ChannelCounts> = vec![base.clone()];
    for block in [8, 16, 32] {
        let mut start = base.clone();
        for (&g, options) in candidates {
            let unit = analysis.groups[g].unit;
            let fitting = options
                .iter()
                .filter(|&&n| n >= base[g] && (n * unit).is_multiple_of(block));
            if let Some(&n) = fitting.min() {
                start[g] = n;
            }
        }
        if !starts.contains(&start) {
            starts.push(start);
        }
    }
    starts
}

/// What a sweep from `counts` compares: each group at each of its options, with all others as they are.
pub fn sweep(counts: &ChannelCounts, candidates: &Candidates) -> Vec<(usize, ChannelCounts)> {
    let mut all = Vec::new();
    for (&g, options) in candidates {
        for &n in options {
            let mut other = counts.clone();
            other[g] = n;
            all.push((g, other));
        }
    }
    all
}

fn descend(
    base: &ChannelCounts,
    mut counts: ChannelCounts,
    candidates: &Candidates,
    costs: &mut LatencyModel,
    prober: &mut Prober,
    progress: ProbeProgress,
) -> Result<ChannelCounts> {
    for _ in 0..SWEEPS {
        let sweep = sweep(&counts, candidates).into_iter();
        let touched = |(g, counts): (usize, ChannelCounts)| LayersAt {
            layers: costs.touched_by(g).to_vec(),
            counts,
        };
        let wanted: Vec<LayersAt> = sweep.map(touched).collect();
        costs.require(prober, &wanted, progress)?;
        let before = counts.clone();
        for (&g, options) in candidates {
            if let Some(n) = best_width(g, options, base[g], &counts, costs) {
                counts[g] = n;
            }
        }
        if counts == before {
            break;
        }
    }
    Ok(counts)
}

/// The fastest width of group `g` with all others as in `counts`.
fn best_width(
    g: usize,
    options: &[usize],
    present: usize,
    counts: &ChannelCounts,
    costs: &LatencyModel,
) -> Option<usize> {
    let layers = costs.touched_by(g);
    let time = |n: usize| {
        let mut other = counts.clone();
        other[g] = n;
        let own = costs.of(layers, &other)?;
        let ms = own.ms + costs.moved_ms(g, &other);
        Some(Estimate { ms, ..own })
    };
    let mut best = present;
    let mut best_time = time(present)?;
    let mut sorted = options.to_vec();
    sorted.sort_by_key(|&n| (n.abs_diff(present), n));
    for n in sorted {
        if let Some(own) = time(n)
            && own.ms + own.noise_to(&best_time) < best_time.ms
        {
            (best, best_time) = (n, own);
        }
    }
    Some(best)
}
