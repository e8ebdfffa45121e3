//! From plan to plan by changing one option or two: what the search by multipliers leaves between its plans and a limit.

use super::factor::Factor;
use super::point::ParetoPoint;
use crate::device::Limit;

/// Pairs of options that are tried together to improve a plan.
const MOST_PAIRS: usize = 4_000_000;

/// Losses of single options and tables of what they use together, all finite.
pub(super) struct Steps<'a> {
    sizes: &'a [usize],
    losses: &'a [Vec<f64>],
    used: &'a [Factor],
    limit: &'a Limit,
    /// The tables that a variable is in, with how far apart its options are there.
    inside: Vec<Vec<(usize, usize)>>,
    /// For each variable, the others that it shares tables with: (other, table, own stride, the other's).
    shared: Vec<Vec<(usize, usize, usize, usize)>>,
}

/// A single change: variable, option, and by how much it changes the loss and the use.
#[derive(Clone, Copy)]
struct GreedyStep {
    variable: usize,
    option: usize,
    loss: f64,
    used: f64,
}

impl<'a> Steps<'a> {
    pub fn new(sizes: &'a [usize], losses: &'a [Vec<f64>], used: &'a [Factor], limit: &'a Limit) -> Self {
        let mut inside = vec![Vec::new(); sizes.len()];
        let mut shared = vec![Vec::new(); sizes.len()];
        for (t, f) in used.iter().enumerate() {
            for &v in &f.over {
                inside[v].push((t, f.stride(sizes, v)));
                for &u in f.over.iter().filter(|&&u| u > v) {
                    shared[v].push((u, t, f.stride(sizes, v), f.stride(sizes, u)));
                }
            }
        }
        Self {
            sizes,
            losses,
            used,
            limit,
            inside,
            shared,
        }
    }

    /// A choice with its loss and what it uses.
    pub fn point(&self, choice: Vec<usize>) -> ParetoPoint {
        ParetoPoint {
            loss: self.losses.iter().zip(&choice).map(|(l, &o)| l[o]).sum(),
            used: self.used.iter().map(|f| f.at(self.sizes, &choice)).sum(),
            choice,
        }
    }

    /// `under` improved within the limit by changing one or two options at a time; and `over` cut down to the limit by the
    /// steps that lose least for what they save, then improved: the better of both.
    pub fn filled(&self, under: ParetoPoint, over: &ParetoPoint, most: f64) -> ParetoPoint {
        let low = self.improved(under, most);
        let mut high = over.clone();
        while high.used > most {
            let saving = self.singles(&high).into_iter().filter(|s| s.used < 0.0);
            let price = |s: &GreedyStep| s.loss / -s.used;
            let next = saving
                .min_by(|a, b| price(a).total_cmp(&price(b)))
                .map(|s| self.after(&high, &[s]));
            match next.filter(|n| n.used < high.used && !self.limit.ended()) {
                Some(next) => high = next,
                None => return low,
            }
        }
        let high = self.improved(high, most);
        if high.loss < low.loss { high } else { low }
    }

    /// A plan from which no change of one option, or of two where there are not too many, loses less within the limit.
    fn improved(&self, mut best: ParetoPoint, most: f64) -> ParetoPoint {
        while !self.limit.ended() {
            let singles = self.singles(&best);
            let room = most - best.used;
            let better = singles.iter().filter(|s| s.loss < 0.0 && s.used <= room);
            let one = better.min_by(|a, b| a.loss.total_cmp(&b.loss)).map(|s| vec![*s]);
            let steps = one.or_else(|| self.pair(&best, &singles, room));
            let next = steps.map(|s| self.after(&best, &s));
            // What was added up of differences is worked out anew, so that each plan is truly better than the one before.
            match next.filter(|n| n.used <= most && n.loss < best.loss) {
                Some(next) => best = next,
                None => break,
            }
        }
        best
    }

    /// All changes of one option.
    fn singles(&self, from: &ParetoPoint) -> Vec<GreedyStep> {
        let base = self.places(from);
        let mut found = Vec::new();
        for variable in 0..self.sizes.len() {
            let now = from.choice[variable];
            for option in (0..self.sizes[variable]).filter(|&o| o != now) {
                let change = |&(t, stride): &(usize, usize)| {
                    let table = &self.used[t].table;
                    table[base[t] + option * stride - now * stride] - table[base[t]]
                };
                found.push(GreedyStep {
                    variable,
                    option,
                    loss: self.losses[variable][option] - self.losses[variable][now],
                    used: self.inside[variable].iter().map(change).sum(),
                });
            }
        }
        found
    }

    /// The two changes that together lose least of those that lose less and fit; `None` also where these are too many to try.
    fn pair(&self, from: &ParetoPoint, singles: &[GreedyStep], room: f64) -> Option<Vec<GreedyStep>> {
        if singles.len().pow(2) / 2 > MOST_PAIRS {
            return None;
        }
        let base = self.places(from);
        let mut best: Option<(f64, [GreedyStep; 2])> = None;
        for (k, a) in singles.iter().enumerate() {
            if self.limit.ended() {
                break;
            }
            for b in singles[k + 1..].iter().filter(|b| b.variable != a.variable) {
                let loss = a.loss + b.loss;
                if loss >= best.map_or(0.0, |(l, _)| l) {
                    continue;
                }
                if a.used + b.used + self.together(from, &base, a, b) <= room {
                    best = Some((loss, [*a, *b]));
                }
            }
        }
        best.map(|(_, steps)| steps.to_vec())
    }

    /// What two changes use together beyond what each uses alone; the first one's variable is the lower.
    fn together(&self, from: &ParetoPoint, base: &[usize], a: &GreedyStep, b: &GreedyStep) -> f64 {
        let mut sum = 0.0;
        for &(_, t, own, other) in self.shared[a.variable].iter().filter(|s| s.0 == b.variable) {
            let table = &self.used[t].table;
            let (p, q) = (from.choice[a.variable], from.choice[b.variable]);
            let origin = base[t] - p * own - q * other;
            let at = |o: usize, r: usize| table[origin + o * own + r * other];
            sum += at(a.option, b.option) - at(a.option, q) - at(p, b.option) + at(p, q);
        }
        sum
    }

    /// The entry of each table under a choice.
    fn places(&self, point: &ParetoPoint) -> Vec<usize> {
        let index = |f: &Factor| f.over.iter().fold(0, |i, &v| i * self.sizes[v] + point.choice[v]);
        self.used.iter().map(index).collect()
    }

    fn after(&self, from: &ParetoPoint, steps: &[GreedyStep]) -> ParetoPoint {
        let mut choice = from.choice.clone();
        steps.iter().for_each(|s| choice[s.variable] = s.option);
        self.point(choice)
    }
}
