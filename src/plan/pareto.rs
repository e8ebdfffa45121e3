//! Plans that lose least for what they use: one for each multiplier λ of `loss + λ · resource`.

use super::curve::Curve;
use super::eliminate::{Factor, minimize};
use super::resource::{Resource, Space};

/// A plan on the curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
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
    sizes: Vec<usize>,
    losses: Vec<Factor>,
    resource: &'a Resource,
    start: Vec<usize>,
    /// Whether every point is proven to be the best for its multiplier.
    pub proven: bool,
}

/// Multipliers tried between two neighbours.
const BISECTIONS: usize = 40;
/// Pairs of options that are tried together to improve a plan.
const MOST_PAIRS: usize = 200_000;

impl<'a> Frontier<'a> {
    /// The loss of a plan is the sum of its groups' losses. Options below what a curve knows are not chosen.
    pub fn new(space: &Space, curves: &dyn Fn(usize) -> Option<&'a Curve>, resource: &'a Resource) -> Self {
        let sizes = space.sizes();
        let loss = |g: usize, count: usize| match curves(g) {
            Some(curve) => curve.at(count).unwrap_or(f64::INFINITY),
            None if count < space.base[g] => f64::INFINITY,
            None => 0.0,
        };
        let losses = space
            .groups
            .iter()
            .enumerate()
            .map(|(v, &g)| Factor::new(vec![v], &sizes, |at| loss(g, space.options[v][at[0]])))
            .collect();
        Self {
            sizes,
            losses,
            resource,
            start: space.present(),
            proven: true,
        }
    }

    /// The least of `loss + λ · resource`.
    pub fn best(&mut self, multiplier: f64) -> Point {
        let weighted = Resource::weighted(&[(multiplier, self.resource)]).factors;
        let factors: Vec<Factor> = self.losses.iter().cloned().chain(weighted).collect();
        let (choice, proven) = minimize(&self.sizes, &factors, &self.start);
        self.proven &= proven;
        self.point(choice)
    }

    /// A choice with its loss and what it uses.
    pub fn point(&self, choice: Vec<usize>) -> Point {
        Point {
            loss: self.losses.iter().map(|f| f.at(&self.sizes, &choice)).sum(),
            used: self.resource.of(&self.sizes, &choice),
            choice,
        }
    }

    /// The plan that uses least.
    pub fn least(&mut self) -> Point {
        let scale = self.point(self.start.clone()).used.max(f64::MIN_POSITIVE);
        let most: f64 = self
            .losses
            .iter()
            .flat_map(|f| &f.table)
            .filter(|l| l.is_finite())
            .sum();
        self.best(1e6 * (most + 1.0) / scale)
    }

    /// The plan that loses least of those found that use at most `limit`; `None` when none does. Bisects the
    /// multiplier, then takes what single steps towards the limit still give.
    pub fn within(&mut self, limit: f64) -> Option<Point> {
        let least = self.least();
        if least.used > limit {
            return None;
        }
        let free = self.best(0.0);
        if free.used <= limit {
            return Some(free);
        }
        let (mut over, mut under) = (free, least);
        for _ in 0..BISECTIONS {
            // The multiplier at which both ends cost the same: below the line through them lies the next plan.
            let (gain, price) = (over.used - under.used, under.loss - over.loss);
            if gain <= 0.0 {
                break;
            }
            let next = self.best(price / gain);
            if next.choice == over.choice || next.choice == under.choice {
                break;
            }
            let line = |p: &Point| p.loss * gain + p.used * price;
            if line(&next) >= line(&over).min(line(&under)) - 1e-12 * line(&over).abs() {
                break;
            }
            if next.used <= limit {
                under = next;
            } else {
                over = next;
            }
        }
        Some(self.filled(under, &over, limit))
    }

    /// `under` improved within the limit by changing one or two options at a time; and `over` cut down to the limit by the
    /// steps that lose least for what they save, then improved: the better of both.
    fn filled(&self, under: Point, over: &Point, limit: f64) -> Point {
        let low = self.improved(under, limit);
        let mut high = over.clone();
        while high.used > limit {
            let (used, loss) = (high.used, high.loss);
            let price = |p: &Point| (p.loss - loss) / (used - p.used);
            match self.step(&high, |p| p.used < used, price) {
                Some(next) => high = next,
                None => return low,
            }
        }
        let high = self.improved(high, limit);
        if high.loss < low.loss { high } else { low }
    }

    /// A plan from which no change of one option, or of two where there are not too many, loses less within the limit.
    fn improved(&self, mut best: Point, limit: f64) -> Point {
        let may = |p: &Point, best: &Point| p.used <= limit && p.loss < best.loss;
        loop {
            let one = self.step(&best, |p| may(p, &best), |p| p.loss);
            match one.or_else(|| self.two_steps(&best, |p| may(p, &best))) {
                Some(next) => best = next,
                None => return best,
            }
        }
    }

    /// The plan with the least loss of all two options away that may be; `None` also where these are too many to try.
    fn two_steps(&self, from: &Point, may: impl Fn(&Point) -> bool) -> Option<Point> {
        let options: usize = self.sizes.iter().sum();
        if options * options / 2 > MOST_PAIRS {
            return None;
        }
        let mut best: Option<Point> = None;
        for v in 0..self.sizes.len() {
            for option in (0..self.sizes[v]).filter(|&o| o != from.choice[v]) {
                let mut choice = from.choice.clone();
                choice[v] = option;
                let (half, after) = (self.point(choice), v + 1);
                if !half.loss.is_finite() {
                    continue;
                }
                let better = |p: &Point| may(p) && best.as_ref().is_none_or(|b| p.loss < b.loss);
                if let Some(next) = self.step_from(&half, after, better, |p| p.loss) {
                    best = Some(next);
                }
            }
        }
        best
    }

    /// The best of all plans one option away that may be.
    fn step(&self, from: &Point, may: impl Fn(&Point) -> bool, value: impl Fn(&Point) -> f64) -> Option<Point> {
        self.step_from(from, 0, may, value)
    }

    /// The same among the variables from `first` on.
    fn step_from(
        &self,
        from: &Point,
        first: usize,
        may: impl Fn(&Point) -> bool,
        value: impl Fn(&Point) -> f64,
    ) -> Option<Point> {
        let mut best: Option<Point> = None;
        for v in first..self.sizes.len() {
            for option in (0..self.sizes[v]).filter(|&o| o != from.choice[v]) {
                let mut choice = from.choice.clone();
                choice[v] = option;
                let next = self.point(choice);
                if next.loss.is_finite() && may(&next) && best.as_ref().is_none_or(|b| value(&next) < value(b)) {
                    best = Some(next);
                }
            }
        }
        best
    }

    /// The whole curve: plans that are best for some multiplier, from the present one to the least, by what they use.
    pub fn curve(&mut self) -> Vec<Point> {
        let (first, last) = (self.best(0.0), self.least());
        let mut points = vec![first.clone()];
        self.between(&first, &last, &mut points, 12);
        if last.choice != first.choice {
            points.push(last);
        }
        points
    }

    fn between(&mut self, a: &Point, b: &Point, points: &mut Vec<Point>, depth: usize) {
        let (gain, price) = (a.used - b.used, b.loss - a.loss);
        if depth == 0 || gain <= 0.0 {
            return;
        }
        let next = self.best(price / gain);
        let inside = next.choice != a.choice && next.choice != b.choice && next.used < a.used && next.used > b.used;
        if inside {
            self.between(a, &next, points, depth - 1);
            points.push(next.clone());
            self.between(&next, b, points, depth - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Curve, Frontier, Resource, Space};
    use crate::plan::eliminate::Factor;

    /// Three groups in a chain with random losses; the resource is the sum of products of neighbours' widths.
    fn chain(seed: u64) -> (Space, Vec<Curve>, Resource) {
        let mut random = fastrand::Rng::with_seed(seed);
        let groups = vec![0, 1, 2];
        let options: Vec<Vec<usize>> = (0..3).map(|_| vec![2, 4, 6, 8]).collect();
        let space = Space {
            groups,
            options: options.clone(),
            base: vec![8; 3],
        };
        let curves = (0..3)
            .map(|_| {
                let (a, b, c) = (random.f64(), random.f64(), random.f64());
                let measured = [(6, a), (4, a + b), (2, a + b + c)];
                Curve::new(8, &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], &measured)
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
            let mut frontier = Frontier::new(&space, &of, &resource);
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
        let points = Frontier::new(&space, &of, &resource).curve();
        assert!(points.len() > 3);
        assert!(
            points
                .windows(2)
                .all(|w| w[0].used > w[1].used && w[0].loss <= w[1].loss)
        );
        assert_eq!((points[0].used, points[0].loss), (128.0, 0.0));
    }
}
