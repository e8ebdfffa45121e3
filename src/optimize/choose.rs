//! Choosing between plans by measuring whole models, and cutting back what does not pay.

use super::{CHOOSING_SECONDS, Opened, ProgressReporter, counts, racing, remembered, whole_key};
use crate::Result;
use crate::channels::Group;
use crate::device::{Device, Limit, Named};
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, encode};
use crate::plan::{Costs, Found, Plan, Removable};
use crate::profile::Prober;
use crate::rewrite::rewrite;
use crate::verify::{Verdict, benchmark_workloads};

/// What stays the same while plans are compared.
pub(super) struct Job<'a> {
    pub opened: &'a Opened,
    pub graph: &'a Graph<'a>,
    pub device: &'a dyn Device,
    pub original: &'a [u8],
    pub inputs: &'a [(Vec<Named>, f64)],
    pub removable: &'a Removable,
    pub limit: &'a Limit,
}

/// A plan that was measured to be faster, and its model.
pub(super) struct Chosen {
    pub plan: Plan,
    pub proto: ModelProto,
}

/// Found plans that are raced with the original.
const LANES: usize = 3;
/// Parts of a plan that are left out in turn, and how often.
const PARTS: usize = 6;
const ROUNDS: usize = 3;

impl Job<'_> {
    pub(super) fn apply(&self, plan: &Plan) -> Result<ModelProto> {
        let (change, folds) = plan.change(&self.opened.analysis, self.removable);
        rewrite(&self.opened.proto, self.graph, &self.opened.analysis, &change, &folds)
    }

    /// Races plans with the original: the ratio and verdict of each.
    pub(super) fn measure(&self, plans: &[Plan], prober: &Prober, seconds: f64) -> Result<Vec<(f64, Verdict)>> {
        if plans.is_empty() {
            return Ok(Vec::new());
        }
        let mut models = vec![self.original.to_vec()];
        for plan in plans {
            models.push(encode(&self.apply(plan)?));
        }
        let entries: Vec<&[u8]> = models.iter().map(Vec::as_slice).collect();
        let key = whole_key("race", &entries, self.inputs, seconds);
        remembered(prober, &key, || {
            let benchmarked = benchmark_workloads(self.device, &entries, self.inputs, seconds, &|_, _| {})?;
            Ok(benchmarked.iter().skip(1).map(|l| (l.ratio(), l.verdict())).collect())
        })
    }

    /// The fastest of the found plans; then without the moves that do not pay.
    pub(super) fn choose(
        &self,
        found: &[Found],
        costs: &Costs,
        prober: &Prober,
        reporter: &dyn ProgressReporter,
    ) -> Result<Option<Chosen>> {
        self.limit.check()?;
        let mut plans = self.field(found);
        if self.limit.is_up() {
            plans.truncate(1);
        }
        if plans.is_empty() {
            return Ok(None);
        }
        let steps = ROUNDS + 2;
        reporter.progress(0, steps);
        let seconds = || racing(self.limit, CHOOSING_SECONDS);
        let mut best = best_of(&plans, &self.measure(&plans, prober, seconds())?);
        reporter.progress(1, steps);
        if best.is_none() && !self.limit.is_up() {
            let fewer = self.most_gainful(&plans[0], costs);
            best = best_of(&fewer, &self.measure(&fewer, prober, seconds())?);
        }
        let Some(mut plan) = best else {
            reporter.progress(steps, steps);
            return Ok(None);
        };
        for round in 0..ROUNDS {
            reporter.progress(round + 2, steps);
            if self.limit.is_up() {
                break;
            }
            match self.cut_back(&plan, costs, prober, seconds())? {
                Some(cut) => plan = cut,
                None => break,
            }
        }
        reporter.progress(steps, steps);
        let proto = self.apply(&plan)?;
        Ok(Some(Chosen { plan, proto }))
    }

    /// The plans to race: those found, and each without the groups that pass through operators that
    /// move channels about (their cost is not in the layers' times).
    fn field(&self, found: &[Found]) -> Vec<Plan> {
        let mut plans: Vec<Plan> = Vec::new();
        let moved = self.moved_about();
        for f in found.iter().take(LANES) {
            for plan in [f.plan.clone(), f.plan.without(&moved)] {
                if !plan.is_empty() && !plans.contains(&plan) && self.apply(&plan).is_ok() {
                    plans.push(plan);
                }
            }
        }
        plans
    }

    /// Groups whose channels pass through a concatenation, a split, a gather or a reshape.
    fn moved_about(&self) -> Vec<usize> {
        const MOVES: [&str; 7] = ["Concat", "Split", "Slice", "Gather", "Reshape", "Transpose", "Pad"];
        let analysis = &self.opened.analysis;
        let moves = |name: &str| {
            let producer = self.graph.producer.get(name);
            producer.is_some_and(|&n| MOVES.contains(&self.graph.proto.node[n].op_type()))
        };
        let passes = |g: &Group| {
            g.places
                .iter()
                .any(|(v, _)| moves(&analysis.dependencies.value(*v).name))
        };
        analysis.groups.iter().filter(|g| passes(g)).map(|g| g.id).collect()
    }

    /// The plan without those parts that make it slower, if it is then measured to be faster.
    fn cut_back(&self, plan: &Plan, costs: &Costs, prober: &Prober, seconds: f64) -> Result<Option<Plan>> {
        let mut field = vec![plan.clone()];
        field.extend(self.leave_one_part_out(plan, costs));
        if field.len() < 2 {
            return Ok(None);
        }
        let measured = self.measure(&field, prober, seconds)?;
        let slower = measured[0].0 - 0.005;
        let dropped: Vec<usize> = field
            .iter()
            .zip(&measured)
            .skip(1)
            .filter(|(_, (ratio, _))| *ratio < slower)
            .flat_map(|(part, _)| plan.counts.keys().filter(|g| !part.counts.contains_key(g)).copied())
            .collect();
        let cut = plan.without(&dropped);
        if dropped.is_empty() || cut.is_empty() {
            return Ok(None);
        }
        let again = self.measure(&[plan.clone(), cut.clone()], prober, seconds)?;
        Ok((again[1].1 == Verdict::Faster && again[1].0 < again[0].0).then_some(cut))
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
