//! Limits that goals set on what a plan uses, and the plan within all of them that loses least.

use super::search::Search;
use crate::optimize::options::{Amount, Goals};
use crate::optimize::outcome::Declined;
use crate::plan::{Metric, Objective, ParetoPoint, Resource};

/// A limit on what a plan takes of a metric.
pub(super) struct UseLimit<'s> {
    pub metric: Metric,
    pub goal: Amount,
    pub objective: &'s Objective,
    /// In the metric's unit.
    pub most: f64,
}

/// A limit on one of the sums whose largest is limited.
struct SumLimit<'s> {
    /// Which of the limits it is of.
    limit: usize,
    part: usize,
    resource: &'s Resource,
    most: f64,
}

impl UseLimit<'_> {
    /// That no plan meets it; `least` is the least use, over the original's.
    fn out_of_reach(&self, least: Option<f64>) -> Declined {
        Declined::OutOfReach {
            metric: self.metric,
            goal: self.goal,
            least,
        }
    }
}

/// The limits that the goals set on what a plan uses, the latency first.
pub(super) fn limits(goals: Goals, search: &Search) -> Vec<UseLimit<'_>> {
    let limit = |metric: Metric| {
        let (goal, objective) = (goals.limits[metric]?, &search.objectives[metric]);
        Some(UseLimit {
            metric,
            goal,
            objective,
            most: goal.of(search.whole[metric]),
        })
    };
    Metric::ALL.into_iter().filter_map(limit).collect()
}

/// The plan within all limits that loses least. Of the sums whose largest is limited those are looked at that a plan breaks:
/// the worst one of the present plan first, then what the plan found breaks too, until it breaks none.
pub(super) fn within(search: &Search, limits: &[UseLimit]) -> Result<ParetoPoint, Declined> {
    let (sizes, present) = (search.space.sizes(), search.space.present());
    for limit in limits {
        let sum = limit.objective.sum();
        let least = search.frontier(&sum).least();
        let least = limit.objective.of(&sizes, &least.choice);
        if least > limit.most {
            if search.limit.is_up() {
                return Err(Declined::NoTimeForGoals);
            }
            return Err(limit.out_of_reach(Some(least / search.whole[limit.metric])));
        }
    }
    let broken = |at: &[usize], sums: &[SumLimit], all: bool| -> Vec<SumLimit> {
        let new = limits.iter().enumerate().filter_map(|(k, limit)| {
            let worst = limit.objective.worst(&sizes, at);
            let known = sums.iter().any(|s| (s.limit, s.part) == (k, worst.part));
            ((all || worst.amount > limit.most) && !known).then(|| SumLimit {
                limit: k,
                part: worst.part,
                resource: &limit.objective.parts[worst.part],
                most: limit.most,
            })
        });
        new.collect()
    };
    let mut sums = broken(&present, &[], true);
    loop {
        let point = within_sums(search, limits, &sums)?;
        let more = broken(&point.choice, &sums, false);
        if more.is_empty() {
            return Ok(point);
        }
        sums.extend(more);
    }
}

/// The plan within limits on sums that loses least. Several are searched as one weighted sum, whose weights rise where a limit is
/// broken.
fn within_sums(search: &Search, limits: &[UseLimit], sums: &[SumLimit]) -> Result<ParetoPoint, Declined> {
    const TRIES: usize = 24;
    let sizes = search.space.sizes();
    if let [one] = sums {
        let found = search.frontier(one.resource).within(one.most);
        let why = || match search.limit.is_up() {
            true => Declined::NoTimeForGoals,
            false => limits[one.limit].out_of_reach(None),
        };
        return found.ok_or_else(why);
    }
    let mut weights = vec![1.0; sums.len()];
    let mut best: Option<ParetoPoint> = None;
    for _ in 0..TRIES {
        let parts: Vec<(f64, &Resource)> = weights
            .iter()
            .zip(sums)
            .map(|(w, l)| (w / l.most, l.resource))
            .collect();
        let sum = Resource::weighted(&parts);
        let Some(point) = search.frontier(&sum).within(weights.iter().sum()) else {
            break;
        };
        let over: Vec<f64> = sums
            .iter()
            .map(|l| l.resource.of(&sizes, &point.choice) / l.most)
            .collect();
        let fits = over.iter().all(|&o| o <= 1.0);
        weights.iter_mut().zip(&over).for_each(|(w, o)| *w *= o.powi(6));
        if fits {
            let better = best.as_ref().is_none_or(|b| point.loss < b.loss);
            if !better {
                break;
            }
            best = Some(point);
        }
    }
    if best.is_none() {
        best = tightened(search, sums);
    }
    best.ok_or_else(|| match search.limit.is_up() {
        true => Declined::NoTimeForGoals,
        false => Declined::LimitsTogether,
    })
}

/// The plan that loses least of those within all limits when they are searched as one sum of equal weights, drawn tighter and
/// tighter; `None` when none is.
fn tightened(search: &Search, sums: &[SumLimit]) -> Option<ParetoPoint> {
    const STEPS: usize = 40;
    let sizes = search.space.sizes();
    let parts: Vec<(f64, &Resource)> = sums.iter().map(|l| (1.0 / l.most, l.resource)).collect();
    let sum = Resource::weighted(&parts);
    let mut frontier = search.frontier(&sum);
    let fits = |p: &ParetoPoint| sums.iter().all(|l| l.resource.of(&sizes, &p.choice) <= l.most);
    (0..STEPS).find_map(|step| {
        let share = 1.0 - step as f64 / STEPS as f64;
        frontier.within(share * sums.len() as f64).filter(|p| fits(p))
    })
}
