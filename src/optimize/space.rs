//! The widths that a search may choose from, timed on the device.

use std::collections::HashMap;

use super::lossy::Narrowing;
use crate::Result;
use crate::channels::Group;
use crate::plan::{Costs, SearchSpace, WidthPair, narrower, without_tail};
use crate::profile::Prober;

impl Narrowing<'_, '_> {
    /// The widths that may be chosen: narrower ones and grown ones that leave no tail, and the present one. Where only
    /// MACs or parameters count, a width passes as long as no wider one is faster.
    pub(super) fn space(&self, costs: &mut Costs, prober: &mut Prober) -> Result<SearchSpace> {
        let fine = self.is_fine();
        let mut space = self.widths(fine)?;
        self.reporter.step("timing widths");
        self.time_alone(&space, costs, prober)?;
        self.drop_tails(&mut space, costs, !fine);
        if !fine {
            self.limit.check()?;
            self.time_together(&space, costs, prober)?;
        }
        Ok(space)
    }

    /// Asks for what is timed first, whatever comes of it.
    pub(super) fn ask(&self, costs: &mut Costs, prober: &mut Prober) -> Result<()> {
        self.time_alone(&self.widths(self.is_fine())?, costs, prober)
    }

    /// The widths that are looked at.
    fn widths(&self, fine: bool) -> Result<SearchSpace> {
        let analysis = &self.opened.analysis;
        let base: WidthPair = analysis.groups.iter().map(|g| g.classes.len()).collect();
        let kept = super::prepare::kept(self.graph, self.opened, self.options)?;
        let (mut groups, mut options) = (Vec::new(), Vec::new());
        let free = |g: &&Group| g.constraint.is_none() && g.classes.len() > 1 && !kept.contains(&g.id);
        for group in analysis.groups.iter().filter(free) {
            let mut counts = narrower(group, self.options.min_width.max(1), fine);
            counts.extend(self.growth.get(&group.id).into_iter().flatten());
            counts.push(base[group.id]);
            counts.sort_unstable();
            counts.dedup();
            groups.push(group.id);
            options.push(counts);
        }
        Ok(SearchSpace { groups, options, base })
    }

    /// Whether widths between blocks are options too: where latency is no goal.
    fn is_fine(&self) -> bool {
        let goals = self.options.goals;
        goals.latency.is_none() && goals.max_drop.is_none()
    }

    /// A fine space without the widths between blocks.
    pub(super) fn only_blocks(&self, space: &SearchSpace) -> Option<SearchSpace> {
        let mut fewer = space.clone();
        for (&g, options) in fewer.groups.iter().zip(&mut fewer.options) {
            let group = &self.opened.analysis.groups[g];
            let blocks = narrower(group, self.options.min_width.max(1), false);
            options.retain(|n| *n >= space.base[g] || blocks.contains(n));
        }
        self.is_fine().then_some(fewer)
    }

    /// Times every option of every group with all others as they are.
    fn time_alone(&self, space: &SearchSpace, costs: &mut Costs, prober: &mut Prober) -> Result<()> {
        let mut wanted = Vec::new();
        for (g, options) in space.groups.iter().zip(&space.options) {
            for &n in options {
                let mut counts = space.base.clone();
                counts[*g] = n;
                wanted.push((costs.touched_by(*g).to_vec(), counts));
            }
        }
        costs.require(prober, &wanted, &|done, total| self.reporter.progress(done, total))
    }

    /// Takes out the options past a step.
    fn drop_tails(&self, space: &mut SearchSpace, costs: &Costs, strict: bool) {
        for (v, &g) in space.groups.iter().enumerate() {
            let times: Option<Vec<(f64, f64)>> = space.options[v]
                .iter()
                .map(|&n| {
                    let mut counts = space.base.clone();
                    counts[g] = n;
                    costs.of(costs.touched_by(g), &counts)
                })
                .collect();
            let Some(times) = times else { continue };
            let keep = without_tail(&times, strict);
            let base = space.base[g];
            let mut keep = keep.into_iter();
            space.options[v].retain(|&n| keep.next().unwrap_or(false) || n == base);
        }
    }

    /// Times every layer at its groups' options together, for a table of input by output widths. Where many groups make
    /// one width, they go in step.
    fn time_together(&self, space: &SearchSpace, costs: &mut Costs, prober: &mut Prober) -> Result<()> {
        const STEPS: usize = 5;
        let at: HashMap<usize, usize> = space.groups.iter().enumerate().map(|(v, &g)| (g, v)).collect();
        let mut wanted = Vec::new();
        for layer in costs.all() {
            let sides = costs.sides_of(layer);
            let settings: Vec<Vec<Vec<(usize, usize)>>> = sides
                .iter()
                .map(|side| {
                    let free: Vec<usize> = side.iter().copied().filter(|g| at.contains_key(g)).collect();
                    match free.as_slice() {
                        [] => vec![vec![]],
                        [one] => space.options[at[one]].iter().map(|&n| vec![(*one, n)]).collect(),
                        many => (0..STEPS)
                            .map(|k| {
                                let pick = |g: &usize| {
                                    let options = &space.options[at[g]];
                                    options[k * (options.len() - 1) / (STEPS - 1)]
                                };
                                many.iter().map(|g| (*g, pick(g))).collect()
                            })
                            .collect(),
                    }
                })
                .collect();
            for input in &settings[0] {
                for output in &settings[1] {
                    let mut counts = space.base.clone();
                    input.iter().chain(output).for_each(|&(g, n)| counts[g] = n);
                    wanted.push((vec![layer], counts));
                }
            }
        }
        costs.require(prober, &wanted, &|done, total| self.reporter.progress(done, total))
    }
}
