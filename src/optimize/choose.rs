//! Choosing between plans by measuring whole models, and cutting back what does not pay.

use super::{Opened, Watcher, counts};
use crate::Result;
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, encode};
use crate::plan::{Costs, Found, Plan, Removable};
use crate::rewrite::rewrite;
use crate::target::{Named, Target};
use crate::verify::{Verdict, race};

/// What stays the same while plans are compared.
pub(super) struct Job<'a> {
    pub opened: &'a Opened,
    pub graph: &'a Graph<'a>,
    pub target: &'a dyn Target,
    pub original: &'a [u8],
    pub inputs: &'a [Named],
    pub removable: &'a Removable,
}

/// A plan that was measured to be faster, and its model.
pub(super) struct Chosen {
    pub plan: Plan,
    pub proto: ModelProto,
}

/// Plans in one race beside the original.
const LANES: usize = 4;
/// Blocks of moves that are tried without.
const PARTS: usize = 6;

impl Job<'_> {
    fn apply(&self, plan: &Plan) -> Result<ModelProto> {
        let (change, folds) = plan.change(&self.opened.analysis, self.removable);
        rewrite(&self.opened.proto, self.graph, &self.opened.analysis, &change, &folds)
    }

    /// Races plans with the original: the ratio and verdict of each.
    fn measure(&self, plans: &[Plan], seconds: f64) -> Result<Vec<(f64, Verdict)>> {
        let mut models = vec![self.original.to_vec()];
        for plan in plans {
            models.push(encode(&self.apply(plan)?));
        }
        let lanes: Vec<&[u8]> = models.iter().map(Vec::as_slice).collect();
        let raced = race(self.target, &lanes, self.inputs, seconds)?;
        Ok(raced.iter().skip(1).map(|l| (l.ratio(), l.verdict())).collect())
    }

    /// The fastest of the found plans; then without the moves that do not pay.
    pub(super) fn choose(
        &self,
        found: &[Found],
        costs: &Costs,
        seconds: f64,
        watcher: &dyn Watcher,
    ) -> Result<Option<Chosen>> {
        let plans: Vec<Plan> = found.iter().take(LANES).map(|f| f.plan.clone()).collect();
        if plans.is_empty() {
            return Ok(None);
        }
        watcher.progress(0, 3);
        let measured = self.measure(&plans, seconds)?;
        let mut best = best_of(&plans, &measured);
        watcher.progress(1, 3);
        if best.is_none() {
            let fewer = self.most_gainful(&plans[0], costs);
            if !fewer.is_empty() {
                let measured = self.measure(&fewer, seconds)?;
                best = best_of(&fewer, &measured);
            }
        }
        watcher.progress(2, 3);
        let Some(mut plan) = best else {
            watcher.progress(3, 3);
            return Ok(None);
        };
        let fewer = self.leave_one_part_out(&plan, costs);
        if !fewer.is_empty() {
            let mut field = vec![plan.clone()];
            field.extend(fewer);
            let measured = self.measure(&field, seconds)?;
            // A part that makes no difference beyond half a percent goes: fewer moves, same speed.
            let dropped: Vec<usize> = field
                .iter()
                .zip(&measured)
                .skip(1)
                .filter(|(_, (ratio, _))| *ratio < measured[0].0 - 0.005)
                .flat_map(|(p, _)| {
                    plan.counts
                        .keys()
                        .filter(|g| !p.counts.contains_key(g))
                        .copied()
                        .collect::<Vec<_>>()
                })
                .collect();
            let cut = plan.without(&dropped);
            if !dropped.is_empty() && !cut.is_empty() {
                let again = self.measure(&[plan.clone(), cut.clone()], seconds)?;
                if again[1].1 == Verdict::Faster && again[1].0 < again[0].0 {
                    plan = cut;
                }
            }
        }
        watcher.progress(3, 3);
        let proto = self.apply(&plan)?;
        Ok(Some(Chosen { plan, proto }))
    }

    /// The moves by predicted gain, greatest first.
    fn by_gain(&self, plan: &Plan, costs: &Costs) -> Vec<usize> {
        let analysis = &self.opened.analysis;
        let with = counts(analysis, plan);
        let mut gains: Vec<(usize, f64)> = plan
            .counts
            .keys()
            .map(|&g| {
                let layers = costs.touched_by(g);
                let mut without = with.clone();
                without[g] = analysis.groups[g].classes.len();
                let ms = |c| costs.of(layers, c).map_or(0.0, |t| t.0);
                (g, ms(&without) - ms(&with))
            })
            .collect();
        gains.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        gains.into_iter().map(|(g, _)| g).collect()
    }

    /// The half, the quarter and the one move with the greatest predicted gain.
    fn most_gainful(&self, plan: &Plan, costs: &Costs) -> Vec<Plan> {
        let order = self.by_gain(plan, costs);
        let mut sizes = vec![order.len() / 2, order.len() / 4, 1];
        sizes.retain(|&n| n > 0 && n < order.len());
        sizes.dedup();
        sizes.into_iter().map(|n| plan.without(&order[n..])).collect()
    }

    /// The plan without each of a few parts of its moves, alike in predicted gain.
    fn leave_one_part_out(&self, plan: &Plan, costs: &Costs) -> Vec<Plan> {
        let order = self.by_gain(plan, costs);
        if order.len() < 2 {
            return Vec::new();
        }
        let size = order.len().div_ceil(PARTS);
        order.chunks(size).map(|part| plan.without(part)).collect()
    }
}

fn best_of(plans: &[Plan], measured: &[(f64, Verdict)]) -> Option<Plan> {
    plans
        .iter()
        .zip(measured)
        .filter(|(_, (_, verdict))| *verdict == Verdict::Faster)
        .min_by(|a, b| a.1.0.total_cmp(&b.1.0))
        .map(|(plan, _)| plan.clone())
}
