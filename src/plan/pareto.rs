//! Plans that lose least for what they use: one for each multiplier λ of `loss + λ · resource`.

use super::curve::LossCurve;
use super::eliminate::{Elimination, Factor};
use super::resource::{Resource, SearchSpace};
use super::steps::Steps;
use crate::device::Limit;

/// A plan on the curve.
#[derive(Clone, Debug, PartialEq)]
pub struct ParetoPoint {
    /// The option chosen for each variable.
    pub choice: Vec<usize>,
    /// Predicted loss.
    pub loss: f64,
    /// What it uses.
    pub used: f64,
}

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
        let used = merged(resource, much, &space.sizes(), (&allowed, &sizes));
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
        let free = self.weighted(1.0, 0.0);
        if free.used <= limit {
            return Some(self.outer(free));
        }
        let (mut over, mut under) = (free, least);
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
    /// lie close, some stand for all.
    pub fn curve(&mut self) -> Vec<ParetoPoint> {
        let (first, last) = (self.weighted(1.0, 0.0), self.leanest());
        let mut points = vec![first.clone()];
        let apart = APART * (first.used - last.used);
        self.between(&first, &last, apart, &mut points);
        if last.used < first.used {
            points.push(last);
        }
        points.into_iter().map(|p| self.outer(p)).collect()
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

/// What a resource uses, over the options that may be chosen: one table for each set of variables, no numbers and infinite
/// ones as `much`.
fn merged(resource: &Resource, much: f64, sizes: &[usize], (allowed, fewer): (&[Vec<usize>], &[usize])) -> Vec<Factor> {
    let number = |u: f64| if u.is_finite() { u } else { much };
    let mut found: Vec<Factor> = Vec::new();
    for factor in &resource.factors {
        let mut choice = vec![0; sizes.len()];
        let own = Factor::new(factor.over.clone(), fewer, |at| {
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
mod tests {
    use proptest::prelude::*;

    use super::{Frontier, LossCurve, Resource, SearchSpace};
    use crate::device::{Limit, Stop};
    use crate::plan::eliminate::{Factor, each};

    /// Three groups in a chain with random losses; the resource is the sum of products of neighbours' widths.
    fn chain(seed: u64) -> (SearchSpace, Vec<LossCurve>, Resource) {
        let mut random = fastrand::Rng::with_seed(seed);
        let groups = vec![0, 1, 2];
        let options: Vec<Vec<usize>> = (0..3).map(|_| vec![2, 4, 6, 8]).collect();
        let space = SearchSpace {
            groups,
            options: options.clone(),
            base: vec![8; 3],
        };
        let curves = (0..3)
            .map(|_| {
                let (a, b, c) = (random.f64(), random.f64(), random.f64());
                let measured = [(6, a), (4, a + b), (2, a + b + c)];
                LossCurve::new(8, &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], &measured)
            })
            .collect();
        let sizes = space.sizes();
        let pair =
            |a: usize, b: usize| Factor::new(vec![a, b], &sizes, |at| (options[a][at[0]] * options[b][at[1]]) as f64);
        let factors = vec![pair(0, 1), pair(1, 2)];
        (space, curves, Resource { factors })
    }

    #[test]
    fn a_limit_is_kept_and_nearly_nothing_better_fits_it() {
        let mut worst: f64 = 0.0;
        for seed in 0..50 {
            let (space, curves, resource) = chain(seed);
            let of = |g: usize| curves.get(g);
            let mut frontier = Frontier::new(&space, &of, &resource, &Limit::default());
            for limit in [20.0, 40.0, 64.0, 90.0] {
                let found = frontier
                    .within(limit)
                    .unwrap_or_else(|| frontier.point(space.present()));
                assert!(found.used <= limit);
                let mut best = f64::INFINITY;
                for k in 0..64 {
                    let point = frontier.point(vec![k / 16, k / 4 % 4, k % 4]);
                    if point.used <= limit {
                        best = best.min(point.loss);
                    }
                }
                worst = worst.max(found.loss - best);
            }
            assert!(frontier.within(7.0).is_none() && frontier.proven);
        }
        assert!(worst < 0.2, "{worst}");
    }

    #[test]
    fn the_curve_falls_in_use_and_rises_in_loss() {
        let (space, curves, resource) = chain(3);
        let of = |g: usize| curves.get(g);
        let points = Frontier::new(&space, &of, &resource, &Limit::default()).curve();
        assert!(points.len() > 3);
        assert!(
            points
                .windows(2)
                .all(|w| w[0].used > w[1].used && w[0].loss <= w[1].loss)
        );
        assert_eq!((points[0].used, points[0].loss), (128.0, 0.0));
    }

    #[test]
    fn a_search_that_is_stopped_is_not_proven_and_ends() {
        let (space, curves, resource) = chain(3);
        let of = |g: usize| curves.get(g);
        let stop = Stop::default();
        stop.request();
        let mut frontier = Frontier::new(&space, &of, &resource, &Limit::new(stop, None));
        assert_eq!(frontier.within(20.0), None);
        assert_eq!(frontier.curve().len(), 1);
        assert!(!frontier.proven);
    }

    #[test]
    fn what_uses_nothing_has_a_curve_of_one_point_whose_numbers_are_finite() {
        // No curve is known for any group, and no layer is counted.
        let (space, _, _) = chain(0);
        let nothing = Resource {
            factors: vec![Factor {
                over: vec![],
                table: vec![0.0],
            }],
        };
        for resource in [nothing, Resource { factors: vec![] }] {
            let mut frontier = Frontier::new(&space, &|_| None, &resource, &Limit::default());
            let points = frontier.curve();
            assert_eq!(points.len(), 1);
            assert_eq!((points[0].loss, points[0].used), (0.0, 0.0));
            assert_eq!(frontier.within(0.0).map(|p| p.choice), Some(space.present()));
            assert_eq!((frontier.within(-1.0), frontier.within(f64::NAN)), (None, None));
            assert_eq!(frontier.best(f64::INFINITY).choice, space.present());
        }
    }

    #[test]
    fn a_space_without_groups_has_the_present_plan_only() {
        let space = SearchSpace {
            groups: vec![],
            options: vec![],
            base: vec![4],
        };
        let resource = Resource { factors: vec![] };
        let mut frontier = Frontier::new(&space, &|_| None, &resource, &Limit::default());
        assert_eq!(frontier.curve().len(), 1);
        assert_eq!(frontier.within(1.0).map(|p| p.choice), Some(vec![]));
    }

    /// One to four groups with random curves, some unknown, some flat or with losses that are no numbers; and tables of a
    /// resource, some of zeros, some with infinite values.
    fn odd() -> impl Strategy<Value = (SearchSpace, Vec<Option<LossCurve>>, Resource, f64)> {
        (1usize..5, any::<u64>()).prop_map(|(count, seed)| {
            let mut random = fastrand::Rng::with_seed(seed);
            let options: Vec<Vec<usize>> = (0..count)
                .map(|_| (1..=4).filter(|&n| n == 4 || random.bool()).collect())
                .collect();
            let mut scale = || match random.u8(0..5) {
                0 => 0.0,
                1 => 1e-320,
                2 => 1e200,
                _ => random.f64(),
            };
            let scales: Vec<f64> = (0..2 * count + 2).map(|_| scale()).collect();
            let curve = |g: usize, random: &mut fastrand::Rng| {
                let errors: Vec<f64> = (0..4).map(|k| scales[g] * f64::from(k)).collect();
                let odd = match random.u8(0..8) {
                    0 => f64::NAN,
                    1 => f64::INFINITY,
                    _ => scales[g],
                };
                LossCurve::new(4, &[0.0, errors[1], errors[2], odd], &[])
            };
            let curves = (0..count)
                .map(|g| (random.u8(0..5) > 0).then(|| curve(g, &mut random)))
                .collect();
            let space = SearchSpace {
                groups: (0..count).collect(),
                options,
                base: vec![4; count],
            };
            let sizes = space.sizes();
            let factors = (0..count + 1)
                .map(|k| {
                    let over: Vec<usize> = (0..count).filter(|_| random.u8(0..3) == 0).take(2).collect();
                    let by = scales[count + k];
                    Factor::new(over, &sizes, |_| match random.u8(0..30) {
                        0 => f64::INFINITY,
                        1 => f64::NAN,
                        _ => by * random.f64(),
                    })
                })
                .collect();
            let limit = match random.u8(0..6) {
                0 => 0.0,
                1 => f64::INFINITY,
                2 => -1.0,
                _ => random.f64() * scales.iter().copied().fold(0.0, f64::max),
            };
            (space, curves, Resource { factors }, limit)
        })
    }

    proptest! {
        #[test]
        fn a_limit_is_met_exactly_when_a_plan_of_all_meets_it((space, curves, resource, limit) in odd()) {
            let of = |g: usize| curves[g].as_ref();
            let mut frontier = Frontier::new(&space, &of, &resource, &Limit::default());
            let (sizes, all) = (space.sizes(), (0..space.groups.len()).collect::<Vec<_>>());
            let (mut fits, mut least, mut fewest) = (false, f64::INFINITY, f64::INFINITY);
            each(&all, &sizes, |at| {
                let point = frontier.point(at.to_vec());
                if point.loss.is_finite() && point.used.is_finite() && point.used <= limit {
                    (fits, least) = (true, least.min(point.loss));
                }
                if point.loss.is_finite() && point.used.is_finite() {
                    fewest = fewest.min(point.used);
                }
            });
            let found = frontier.within(limit);
            prop_assert_eq!(found.is_some(), fits);
            if let Some(point) = found {
                prop_assert!(point.used <= limit * (1.0 + 1e-8) + 1e-300 && point.loss >= least);
                let again = frontier.point(point.choice.clone());
                prop_assert!((again.loss - point.loss).abs() <= 1e-9 * point.loss.abs());
            }
            let points = frontier.curve();
            prop_assert!(points.iter().all(|p| p.loss.is_finite() && p.used.is_finite()));
            prop_assert!(points.windows(2).all(|w| w[0].used > w[1].used && w[0].loss <= w[1].loss));
            let last = frontier.least().used;
            prop_assert!(!fewest.is_finite() || last <= fewest + 1e-6 * fewest.abs());
        }
    }
}
