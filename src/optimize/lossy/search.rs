//! What is searched: widths, what each of them loses, and what each uses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::gone::measure_gone;
use super::sensitivity::{Sensitivity, analyze, guess};
use super::space::{only_blocks, space};
use crate::Result;
use crate::device::Limit;
use crate::optimize::outcome::ParetoRow;
use crate::optimize::session::Session;
use crate::plan::{Frontier, LossCurve, Metric, Objective, ParetoPoint, PerMetric, Plan, Resource, SearchSpace};

/// Searches for plans are given this long, whatever is left of the time: what was timed is of no use without.
pub(super) const SEARCHING: Duration = Duration::from_secs(3);

/// What is searched.
#[derive(Clone)]
pub(super) struct Search {
    pub space: SearchSpace,
    /// The seed of the shares, where new channels share the work of old ones.
    pub split: Option<u64>,
    /// Written-out broadcasts, which go in every plan.
    pub broadcasts: BTreeSet<usize>,
    /// Branches that may go, by the first group within.
    pub branches: BTreeMap<usize, usize>,
    pub curves: BTreeMap<usize, LossCurve>,
    /// Groups whose losses are guessed blindly.
    pub blind: BTreeSet<usize>,
    /// What a plan takes of each metric.
    pub objectives: PerMetric<Objective>,
    /// What the original takes of each metric, in the unit of the objectives.
    pub whole: PerMetric<f64>,
    /// When searches end.
    pub limit: Limit,
    /// The same on fewer widths: multiples of blocks only. Where latency is no goal.
    pub on_blocks: Option<Box<Search>>,
}

/// Times widths and measures what they lose, of all groups of which that is not known already; the session then knows in which order
/// channels go.
///
/// # Errors
/// When a probe or a run fails.
pub(super) fn prepare_search(session: &mut Session, mut known: Sensitivity) -> Result<Search> {
    let space = space(session)?;
    let narrower: BTreeMap<usize, Vec<usize>> = space
        .groups
        .iter()
        .zip(&space.options)
        .filter(|(g, _)| !known.curves.contains_key(g))
        .map(|(&g, o)| {
            (
                g,
                o.iter()
                    .copied()
                    .filter(|&n| n > 0 && n < space.base[g])
                    .collect::<Vec<_>>(),
            )
        })
        .filter(|(_, o)| !o.is_empty())
        .collect();
    if !narrower.is_empty() {
        let own = match &session.samples {
            Some(samples) => analyze(session, samples, &narrower)?,
            None => guess(session, &narrower, &session.limit.at_least(SEARCHING))?,
        };
        known.ranked.extend(own.ranked);
        known.curves.extend(own.curves);
        known.blind.extend(own.blind);
    }
    measure_gone(session, &space, &mut known.curves)?;
    session.removable.ranked = known.ranked;
    let blocks = only_blocks(session, &space);
    // The session predicts by the tables that it made last: those of the wider space.
    let on_blocks = blocks.map(|space| Box::new(Search::over(session, space, known.curves.clone())));
    let mut search = Search::over(session, space, known.curves);
    search.blind = known.blind;
    search.on_blocks = on_blocks;
    Ok(search)
}

impl Search {
    pub fn over(session: &mut Session, space: SearchSpace, curves: BTreeMap<usize, LossCurve>) -> Self {
        let (graph, analysis) = (&session.graph, session.analysis());
        let costs = &mut session.costs;
        let objectives = PerMetric::from_fn(|metric| Objective::new(metric, &space, graph, analysis, costs));
        let (sizes, present) = (space.sizes(), space.present());
        Self {
            whole: PerMetric::from_fn(|metric| objectives[metric].of(&sizes, &present)),
            objectives,
            curves,
            blind: BTreeSet::new(),
            split: session.options.split_seed(),
            broadcasts: session.broadcasts.clone(),
            branches: analysis
                .branches
                .iter()
                .filter_map(|(&add, b)| Some((*b.groups.first()?, add)))
                .filter(|&(first, _)| space.may_go(first))
                .collect(),
            space,
            limit: session.limit.at_least(SEARCHING),
            on_blocks: None,
        }
    }

    /// The same, with amounts as shares of what another model takes that this one is equal to.
    #[must_use]
    pub fn against(mut self, whole: &PerMetric<f64>) -> Self {
        self.whole = *whole;
        self.on_blocks = self.on_blocks.map(|search| Box::new(search.against(whole)));
        self
    }

    /// The same over plans in which every branch stays.
    pub fn without_gone(&self) -> Self {
        let mut found = self.clone();
        let stays = |(&g, curve): (&usize, &LossCurve)| (g, curve.clone().never_gone());
        found.curves = self.curves.iter().map(stays).collect();
        found.on_blocks = self.on_blocks.as_ref().map(|s| Box::new(s.without_gone()));
        found
    }

    /// The predicted latency of a plan.
    pub fn latency(&self) -> &Resource {
        &self.objectives[Metric::Latency].parts[0]
    }

    /// A search over one resource.
    pub fn frontier<'s>(&'s self, resource: &'s Resource) -> Frontier<'s> {
        let curves = |g: usize| -> Option<&'s LossCurve> { self.curves.get(&g) };
        Frontier::new(&self.space, &curves, resource, &self.limit)
    }

    /// The plan of a point.
    pub fn plan(&self, point: &ParetoPoint) -> Plan {
        let counts = self.space.counts(&point.choice);
        let groups = self.space.groups.iter().copied();
        let changed = groups.filter(|&g| counts[g] != self.space.base[g] && counts[g] > 0);
        let gone = self
            .branches
            .iter()
            .filter(|&(&first, _)| counts.get(first) == Some(&0));
        Plan {
            counts: changed.map(|g| (g, counts[g])).collect(),
            split: self.split,
            broadcasts: self.broadcasts.clone(),
            branches: gone.map(|(_, &add)| add).collect(),
        }
    }

    /// The predicted loss of one group at a width.
    pub fn loss(&self, group: usize, count: usize) -> Option<f64> {
        self.curves.get(&group)?.at(count)
    }

    /// Points as rows of the curve, nothing measured.
    pub fn rows(&self, points: &[ParetoPoint]) -> Vec<ParetoRow> {
        let sizes = self.space.sizes();
        let present = self.space.present();
        let share = |metric: Metric, choice: &[usize]| self.objectives[metric].of(&sizes, choice) / self.whole[metric];
        let row = |p: &ParetoPoint| ParetoRow {
            shares: PerMetric::from_fn(|metric| share(metric, &p.choice)),
            loss: p.loss,
            groups: p.choice.iter().zip(&present).filter(|(a, b)| a != b).count(),
            measured: None,
        };
        points.iter().map(row).collect()
    }

    /// The whole curve as predicted.
    pub fn predicted(&self) -> Vec<ParetoRow> {
        self.rows(&self.frontier(self.latency()).curve())
    }
}
