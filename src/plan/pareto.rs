//! Plans that lose least for what they use: one for each multiplier λ of `loss + λ · resource`.

use super::curve::LossCurve;
use super::eliminate::Elimination;
use super::factor::Factor;
use super::point::ParetoPoint;
use super::resource::Resource;
use super::space::SearchSpace;
use super::steps::Steps;
use crate::device::Limit;

/// A search over one space.
#[derive(Debug)]
pub struct Frontier<'a> {
    space: &'a SearchSpace,
    resource: &'a Resource,
    /// The loss of every option; infinite for those that are not chosen.
    all_losses: Vec<Vec<f64>>,
    /// The options of each variable that may be chosen: those whose loss is a number.
    allowed: Vec<Vec<usize>>,
    /// Losses, and tables of what is used, over the options that may be chosen. All are finite.
    losses: Vec<Vec<f64>>,
    used: Vec<Factor>,
    sizes: Vec<usize>,
    start: Vec<usize>,
    order: Elimination,
    limit: Limit,
    /// What a use counts that is no number: more than all others together.
    much: f64,
    /// Whether every point is proven to be the best for its multiplier.
    pub proven: bool,
}

/// Multipliers tried between two neighbours.
const BISECTIONS: usize = 40;
/// Points of the curve lie at least this share of its range apart, in what they use.
const APART: f64 = 1.0 / 256.0;
/// What a loss weighs against a use, both as shares of their ranges, where only the use counts.
const ASIDE: f64 = 1e-7;
/// What is used may exceed a limit by this share: sums of the same numbers differ by their order.
const ROUNDING: f64 = 1e-9;

impl<'a> Frontier<'a> {
    /// The loss of a plan is the sum of its groups' losses. Options below what a curve knows are not chosen, nor those whose
    /// loss is no number; a use that is no number counts as more than all others together. When `limit` ends, searches
    /// end with what they have found.
    pub fn new(
        space: &'a SearchSpace,
        curves: &dyn Fn(usize) -> Option<&'a LossCurve>,
        resource: &'a Resource,
        limit: &Limit,
    ) -> Self {
        let loss = |g: usize, count: usize| match curves(g) {
            Some(curve) => curve.at(count).filter(|l| l.is_finite()).unwrap_or(f64::INFINITY),
            None if count < space.base[g] => f64::INFINITY,
            None => 0.0,
        };
        let of = |(&g, options): (&usize, &Vec<usize>)| options.iter().map(|&n| loss(g, n)).collect();
        let mut all_losses: Vec<Vec<f64>> = space.groups.iter().zip(&space.options).map(of).collect();
        let present = space.present();
        for (losses, &at) in all_losses.iter_mut().zip(&present) {
            if losses[at].is_infinite() {
                losses[at] = 0.0;
            }
        }
        let finite = |l: &Vec<f64>| (0..l.len()).filter(|&o| l[o].is_finite()).collect();
        let allowed: Vec<Vec<usize>> = all_losses.iter().map(finite).collect();
        let sizes: Vec<usize> = allowed.iter().map(Vec::len).collect();
        let numbers = resource.factors.iter().flat_map(|f| &f.table).filter(|u| u.is_finite());
        let much = 1e3 * (numbers.map(|u| u.abs()).sum::<f64>() + 1.0);
        let mut all = resource.clone();
        all.factors.extend(space.apart());
        let used = merged(&all, much, &space.sizes(), &allowed);
        let place = |(options, at): (&Vec<usize>, &usize)| options.iter().position(|o| o == at).unwrap_or(0);
        Self {
            losses: allowed
                .iter()
                .zip(&all_losses)
                .map(|(options, l)| options.iter().map(|&o| l[o]).collect())
                .collect(),
            start: allowed.iter().zip(&present).map(place).collect(),
            order: Elimination::new(&sizes, &used),
            limit: limit.clone(),
            much,
            proven: true,
            space,
            resource,
            all_losses,
            allowed,
            used,
            sizes,
        }
    }

    /// The least of `loss + λ · resource`; of the resource alone where λ is no number or infinite.
    pub fn best(&mut self, multiplier: f64) -> ParetoPoint {
        if !multiplier.is_finite() {
            return self.least();
        }
        let found = self.weighted(1.0, multiplier);
        self.outer(found)
    }

    /// A choice with its loss and what it uses.
    pub fn point(&self, choice: Vec<usize>) -> ParetoPoint {
        let losses = self.all_losses.iter().zip(&choice);
        ParetoPoint {
            loss: losses.map(|(l, &o)| l.get(o).copied().unwrap_or(f64::INFINITY)).sum(),
            used: self.resource.of(&self.space.sizes(), &choice),
            choice,
        }
    }

    /// The plan that uses least, and of those the one that loses least.
    pub fn least(&mut self) -> ParetoPoint {
        let found = self.leanest();
        self.outer(found)
    }

    fn leanest(&mut self) -> ParetoPoint {
        let least = self.weighted(0.0, 1.0);
        let most: f64 = self.losses.iter().flatten().map(|l| l.abs()).sum();
        let span = self
            .used
            .iter()
            .flat_map(|f| &f.table)
            .filter(|u| u.abs() < 0.5 * self.much)
            .fold(0.0, |m: f64, u| m.max(u.abs()));
        let small = f64::MIN_POSITIVE.sqrt();
        let equal = self.weighted(ASIDE / most.max(small), 1.0 / span.max(small));
        if equal.used <= least.used && equal.loss < least.loss {
            equal
        } else {
            least
        }
    }

    /// The least of a weighted sum.
    fn weighted(&mut self, loss: f64, used: f64) -> ParetoPoint {
        let scaled = |f: &Factor, by: f64| Factor {
            over: f.over.clone(),
            table: f.table.iter().map(|t| t * by).collect(),
        };
        let losses = self.losses.iter().enumerate().map(|(v, l)| Factor {
            over: vec![v],
            table: l.iter().map(|t| t * loss).collect(),
        });
        let factors: Vec<Factor> = losses.chain(self.used.iter().map(|f| scaled(f, used))).collect();
        let (choice, proven) = self.order.minimize(&factors, &self.start, &self.limit);
        self.proven &= proven;
        self.steps().point(choice)
    }

    fn steps(&self) -> Steps<'_> {
        Steps::new(&self.sizes, &self.losses, &self.used, &self.limit)
    }

    /// A point of the options that may be chosen as one of all options.
    fn outer(&self, point: ParetoPoint) -> ParetoPoint {
        let choice = self.allowed.iter().zip(&point.choice).map(|(options, &o)| options[o]);
        ParetoPoint {
            choice: choice.collect(),
            ..point
        }
    }

    /// The plan that loses least of those found that use at most `limit`; `None` when none does. Bisects the
    /// multiplier, then takes what single steps towards the limit still give.
    pub fn within(&mut self, limit: f64) -> Option<ParetoPoint> {
        if limit.is_nan() {
            return None;
        }
        let limit = (limit + ROUNDING * limit.abs()).min(0.5 * self.much);
        let least = self.leanest();
        if least.used > limit {
            return None;
        }
        let unconstrained = self.weighted(1.0, 0.0);
        if unconstrained.used <= limit {
            return Some(self.outer(unconstrained));
        }
        let (mut over, mut under) = (unconstrained, least);
        for _ in 0..BISECTIONS {
            let Some(next) = self.beyond(&over, &under).filter(|_| !self.limit.ended()) else {
                break;
            };
            if next.used <= limit {
                under = next;
            } else {
                over = next;
            }
        }
        let found = self.steps().filled(under, &over, limit);
        self.proven &= !self.limit.ended();
        Some(self.outer(found))
    }

    /// The plan below the line through two others, at the multiplier at which both cost the same; `None` where there is none.
    fn beyond(&mut self, over: &ParetoPoint, under: &ParetoPoint) -> Option<ParetoPoint> {
        let (gain, price) = (over.used - under.used, under.loss - over.loss);
        if !(gain > 0.0 && price > 0.0) {
            return None;
        }
        // Both weights at most 1, so that none is infinite.
        let most = gain.max(price);
        let (gain, price) = (gain / most, price / most);
        let next = self.weighted(gain, price);
        let line = |p: &ParetoPoint| p.loss * gain + p.used * price;
        let least = line(over).min(line(under));
        (line(&next) < least - 1e-12 * least.abs()).then_some(next)
    }

    /// The curve: plans that are best for some multiplier, from the present one to the least, by what they use. Where they
    /// lie close, some are left out.
    pub fn curve(&mut self) -> Vec<ParetoPoint> {
        let (first, last) = (self.weighted(1.0, 0.0), self.leanest());
        let mut points = vec![first.clone()];
        let apart = APART * (first.used - last.used);
        self.between(&first, &last, apart, &mut points);
        if last.used < first.used {
            points.push(last);
        }
        undominated(points.into_iter().map(|p| self.outer(p)).collect())
    }

    fn between(&mut self, a: &ParetoPoint, b: &ParetoPoint, apart: f64, points: &mut Vec<ParetoPoint>) {
        if a.used - b.used <= apart || self.limit.ended() {
            return;
        }
        let Some(next) = self.beyond(a, b) else { return };
        if next.used < a.used && next.used > b.used {
            self.between(a, &next, apart, points);
            points.push(next.clone());
            self.between(&next, b, apart, points);
        }
    }
}

/// Points from the one that uses most on, without those that lose more than one that uses less: searches that are not proven find some.
fn undominated(points: Vec<ParetoPoint>) -> Vec<ParetoPoint> {
    let mut kept: Vec<ParetoPoint> = Vec::new();
    for point in points.into_iter().rev() {
        while kept
            .last()
            .is_some_and(|k| point.loss <= k.loss && point.used <= k.used)
        {
            kept.pop();
        }
        if kept.last().is_none_or(|k| point.loss <= k.loss) {
            kept.push(point);
        }
    }
    kept.reverse();
    kept
}

/// What a resource uses, over the options that may be chosen: one table for each set of variables, no numbers and infinite
/// ones as `much`.
fn merged(resource: &Resource, much: f64, sizes: &[usize], allowed: &[Vec<usize>]) -> Vec<Factor> {
    let fewer: Vec<usize> = allowed.iter().map(Vec::len).collect();
    let number = |u: f64| if u.is_finite() { u } else { much };
    let mut found: Vec<Factor> = Vec::new();
    for factor in &resource.factors {
        let mut choice = vec![0; sizes.len()];
        let own = Factor::new(factor.over.clone(), &fewer, |at| {
            for (&v, &o) in factor.over.iter().zip(at) {
                choice[v] = allowed[v][o];
            }
            number(factor.at(sizes, &choice))
        });
        match found.iter_mut().find(|f| f.over == own.over) {
            Some(same) => same.table.iter_mut().zip(&own.table).for_each(|(a, b)| *a += b),
            None => found.push(own),
        }
    }
    found
}

#[cfg(test)]
mod tests;
