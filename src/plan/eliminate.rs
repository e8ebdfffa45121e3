//! The choice of one option for each variable with the least sum of tables: exact by eliminating variables (Bertelè and
//! Brioschi, 1972), as long as the tables that arise stay small.

use std::collections::BTreeSet;

use crate::device::Limit;

/// A table over the options of some variables, the last variable's fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Factor {
    /// Variables, each once, ascending.
    pub over: Vec<usize>,
    /// One value for each combination.
    pub table: Vec<f64>,
}

impl Factor {
    /// A table filled from a function of the options chosen.
    pub fn new(over: Vec<usize>, sizes: &[usize], mut value: impl FnMut(&[usize]) -> f64) -> Self {
        let mut table = Vec::new();
        each(&over, sizes, |at| table.push(value(at)));
        Self { over, table }
    }

    /// Its value under a choice of all variables.
    pub fn at(&self, sizes: &[usize], choice: &[usize]) -> f64 {
        let index = self.over.iter().fold(0, |index, &v| index * sizes[v] + choice[v]);
        self.table[index]
    }

    /// How far apart in the table neighbouring options of a variable are; 0 for one that it is not over.
    pub(super) fn stride(&self, sizes: &[usize], variable: usize) -> usize {
        match self.over.iter().position(|&v| v == variable) {
            Some(at) => self.over[at + 1..].iter().map(|&v| sizes[v]).product(),
            None => 0,
        }
    }
}

/// Every combination of options of some variables, the last variable's fastest.
pub(super) fn each(over: &[usize], sizes: &[usize], mut see: impl FnMut(&[usize])) {
    if over.iter().any(|&v| sizes[v] == 0) {
        return;
    }
    let mut at = vec![0; over.len()];
    loop {
        see(&at);
        let mut k = over.len();
        loop {
            if k == 0 {
                return;
            }
            k -= 1;
            at[k] += 1;
            if at[k] < sizes[over[k]] {
                break;
            }
            at[k] = 0;
        }
    }
}

/// The largest table that elimination may make.
const MOST: f64 = (1 << 18) as f64;
/// Sweeps over variables that had to be held.
const SWEEPS: usize = 12;
/// Table entries that trying every option of every held variable may take; above, these only change one by one.
const MOST_WORK: f64 = (1 << 24) as f64;

/// The order in which the variables of some tables are eliminated. It depends on what the tables are over, not on what
/// they hold, so it is found once for many weights of the same tables.
#[derive(Clone, Debug)]
pub struct Elimination {
    sizes: Vec<usize>,
    /// Variables in their order, each with the later ones that its table is over, ascending.
    order: Vec<(usize, Vec<usize>)>,
    /// Place of each variable in the order; past the end for those that are held.
    place: Vec<usize>,
    /// Variables that are held, because they hang together with others too densely.
    held: Vec<usize>,
    /// Entries of all tables that arise.
    entries: f64,
}

impl Elimination {
    /// Each time the variable with the smallest table goes; where every table would be too large, the one that hangs
    /// together with most others is held.
    pub fn new(sizes: &[usize], factors: &[Factor]) -> Self {
        let mut around: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); sizes.len()];
        for f in factors {
            for &v in &f.over {
                around[v].extend(f.over.iter().copied().filter(|&u| u != v));
            }
        }
        let size = |v: usize, around: &BTreeSet<usize>| -> f64 {
            around.iter().chain([&v]).map(|&u| sizes[u] as f64).product()
        };
        let mut costs: Vec<f64> = (0..sizes.len()).map(|v| size(v, &around[v])).collect();
        let mut left: BTreeSet<usize> = (0..sizes.len()).collect();
        let mut found = Self {
            sizes: sizes.to_vec(),
            order: Vec::new(),
            place: vec![usize::MAX; sizes.len()],
            held: Vec::new(),
            entries: 0.0,
        };
        while let Some(cheapest) = left.iter().copied().min_by(|&a, &b| costs[a].total_cmp(&costs[b])) {
            let fits = costs[cheapest] <= MOST;
            let most = left
                .iter()
                .copied()
                .max_by_key(|&v| (around[v].len(), std::cmp::Reverse(v)));
            let v = if fits { cheapest } else { most.unwrap_or(cheapest) };
            left.remove(&v);
            let near = std::mem::take(&mut around[v]);
            for &u in &near {
                around[u].remove(&v);
                if fits {
                    around[u].extend(near.iter().copied().filter(|&w| w != u));
                }
            }
            for &u in &near {
                costs[u] = size(u, &around[u]);
            }
            if fits {
                found.place[v] = found.order.len();
                found.entries += costs[v];
                found.order.push((v, near.into_iter().collect()));
            } else {
                found.held.push(v);
            }
        }
        found
    }

    /// The choice with the least sum of `factors`, and whether it is proven to be: it is unless variables had to be held,
    /// which are improved in turns from `start` on, or the time was up. Sums that are no numbers count as infinite.
    /// The factors are over the variables that the order was made for.
    pub fn minimize(&self, factors: &[Factor], start: &[usize], limit: &Limit) -> (Vec<usize>, bool) {
        let Some(mut best) = self.eliminate(factors, start, limit) else {
            return (start.to_vec(), false);
        };
        if self.held.is_empty() {
            return (best, true);
        }
        let sum = |choice: &[usize]| -> f64 { factors.iter().map(|f| f.at(&self.sizes, choice)).sum() };
        let mut least = sum(&best);
        if sum(start) < least || least.is_nan() {
            (best, least) = (start.to_vec(), sum(start));
        }
        let options: usize = self.held.iter().map(|&v| self.sizes[v]).sum();
        let thorough = self.entries * options as f64 <= MOST_WORK;
        for _ in 0..SWEEPS {
            let before = least;
            self.turn(factors, &mut best);
            if let Some(next) = self.eliminate(factors, &best, limit) {
                best = next;
            }
            least = sum(&best);
            if least >= before && thorough {
                self.sweep(factors, (&mut best, &mut least), limit);
            }
            if limit.ended() || least >= before || least.is_nan() || before.is_nan() {
                break;
            }
        }
        (best, false)
    }

    /// Gives each held variable the best option with all others as they are.
    fn turn(&self, factors: &[Factor], choice: &mut [usize]) {
        for &v in &self.held {
            let own: Vec<&Factor> = factors.iter().filter(|f| f.over.contains(&v)).collect();
            let mut best = (f64::INFINITY, choice[v]);
            for option in 0..self.sizes[v] {
                choice[v] = option;
                let sum: f64 = own.iter().map(|f| f.at(&self.sizes, choice)).sum();
                if sum < best.0 {
                    best = (sum, option);
                }
            }
            choice[v] = best.1;
        }
    }

    /// Every option of every held variable, each time with the best of all that are not held.
    fn sweep(&self, factors: &[Factor], (best, least): (&mut Vec<usize>, &mut f64), limit: &Limit) {
        for &v in &self.held {
            for option in 0..self.sizes[v] {
                let mut other = best.clone();
                other[v] = option;
                let Some(found) = self.eliminate(factors, &other, limit) else {
                    return;
                };
                let value: f64 = factors.iter().map(|f| f.at(&self.sizes, &found)).sum();
                if value < *least {
                    (*best, *least) = (found, value);
                }
            }
        }
    }

    /// Exact for the variables that are not held; those are as in `fixed`. `None` when the time was up.
    fn eliminate(&self, factors: &[Factor], fixed: &[usize], limit: &Limit) -> Option<Vec<usize>> {
        // Each table goes to the variable of it that is eliminated first.
        let mut waiting: Vec<Vec<Factor>> = vec![Vec::new(); self.order.len()];
        let put = |waiting: &mut Vec<Vec<Factor>>, f: Factor| {
            if let Some(first) = f.over.iter().map(|&v| self.place[v]).min() {
                waiting[first].push(f);
            }
        };
        for f in factors {
            put(&mut waiting, self.conditioned(f, fixed));
        }
        let mut picks: Vec<Vec<u32>> = Vec::with_capacity(self.order.len());
        for (at, (v, rest)) in self.order.iter().enumerate() {
            if limit.ended() {
                return None;
            }
            let over: Vec<usize> = rest.iter().copied().chain([*v]).collect();
            let dims: Vec<usize> = over.iter().map(|&u| self.sizes[u]).collect();
            let mut sums = vec![0.0; dims.iter().product()];
            for f in std::mem::take(&mut waiting[at]) {
                let strides: Vec<usize> = over.iter().map(|&u| f.stride(&self.sizes, u)).collect();
                add(&mut sums, &dims, &strides, &f.table);
            }
            let mut table = Vec::with_capacity(sums.len() / self.sizes[*v].max(1));
            let mut own = Vec::with_capacity(table.capacity());
            for row in sums.chunks_exact(self.sizes[*v].max(1)) {
                let mut best = (f64::INFINITY, 0);
                for (option, &sum) in row.iter().enumerate() {
                    if sum < best.0 {
                        best = (sum, option as u32);
                    }
                }
                table.push(best.0);
                own.push(best.1);
            }
            picks.push(own);
            put(
                &mut waiting,
                Factor {
                    over: rest.clone(),
                    table,
                },
            );
        }
        let mut choice = fixed.to_vec();
        for ((v, rest), own) in self.order.iter().zip(&picks).rev() {
            let index = rest.iter().fold(0, |index, &u| index * self.sizes[u] + choice[u]);
            choice[*v] = own.get(index).map_or(0, |&o| o as usize);
        }
        Some(choice)
    }

    /// A table with the held variables at their options.
    fn conditioned(&self, factor: &Factor, fixed: &[usize]) -> Factor {
        if !factor.over.iter().any(|v| self.held.contains(v)) {
            return factor.clone();
        }
        let over: Vec<usize> = factor.over.iter().copied().filter(|v| !self.held.contains(v)).collect();
        let mut choice = fixed.to_vec();
        Factor::new(over.clone(), &self.sizes, |at| {
            over.iter().zip(at).for_each(|(&v, &o)| choice[v] = o);
            factor.at(&self.sizes, &choice)
        })
    }
}

/// Adds a table to sums over `dims`, the last fastest; `strides` are the table's own.
fn add(sums: &mut [f64], dims: &[usize], strides: &[usize], table: &[f64]) {
    let Some((&n, outer)) = dims.split_last().filter(|(n, _)| **n > 0) else {
        return;
    };
    let stride = strides[outer.len()];
    let (mut at, mut from) = (vec![0; outer.len()], 0);
    for row in sums.chunks_exact_mut(n) {
        for (k, sum) in row.iter_mut().enumerate() {
            *sum += table[from + k * stride];
        }
        for d in (0..outer.len()).rev() {
            at[d] += 1;
            from += strides[d];
            if at[d] < outer[d] {
                break;
            }
            from -= strides[d] * outer[d];
            at[d] = 0;
        }
    }
}

/// [`Elimination::minimize`] for tables that are minimized once, with all the time there is.
pub fn minimize(sizes: &[usize], factors: &[Factor], start: &[usize]) -> (Vec<usize>, bool) {
    Elimination::new(sizes, factors).minimize(factors, start, &Limit::default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Elimination, Factor, each, minimize};
    use crate::device::{Limit, Stop};

    /// A few variables with one to four options, and tables over none to three of them; some tables hold zeros only, some
    /// values are infinite or no numbers.
    fn problem() -> impl Strategy<Value = (Vec<usize>, Vec<Factor>)> {
        (prop::collection::vec(1usize..5, 1..7), any::<u64>(), 0usize..12).prop_map(|(sizes, seed, count)| {
            let mut random = fastrand::Rng::with_seed(seed);
            let odd = random.bool();
            let factors = (0..count)
                .map(|_| {
                    let count = random.usize(0..4);
                    let mut over = random.choose_multiple(0..sizes.len(), count);
                    over.sort_unstable();
                    let zero = random.u8(0..4) == 0;
                    Factor::new(over, &sizes, |_| match random.u8(0..20) {
                        _ if zero => 0.0,
                        0 if odd => f64::INFINITY,
                        1 if odd => f64::NAN,
                        _ => random.f64(),
                    })
                })
                .collect();
            (sizes, factors)
        })
    }

    fn sum(sizes: &[usize], factors: &[Factor], choice: &[usize]) -> f64 {
        let sum: f64 = factors.iter().map(|f| f.at(sizes, choice)).sum();
        if sum.is_nan() { f64::INFINITY } else { sum }
    }

    proptest! {
        #[test]
        fn the_choice_is_the_best_of_all((sizes, factors) in problem()) {
            let all: Vec<usize> = (0..sizes.len()).collect();
            let mut least = f64::INFINITY;
            each(&all, &sizes, |at| least = least.min(sum(&sizes, &factors, at)));
            let (choice, proven) = minimize(&sizes, &factors, &vec![0; sizes.len()]);
            prop_assert!(proven);
            let found = sum(&sizes, &factors, &choice);
            prop_assert!(found == least || (found - least).abs() < 1e-9);
        }
    }

    /// Twelve variables of six options with a table for every pair: past the limit.
    fn dense() -> (Vec<usize>, Vec<Factor>) {
        let sizes = vec![6; 12];
        let mut random = fastrand::Rng::with_seed(1);
        let mut factors = Vec::new();
        for a in 0..12 {
            for b in a + 1..12 {
                factors.push(Factor::new(vec![a, b], &sizes, |_| random.f64()));
            }
        }
        (sizes, factors)
    }

    #[test]
    fn variables_that_all_hang_together_are_held_in_turns() {
        let (sizes, factors) = dense();
        let (choice, proven) = minimize(&sizes, &factors, &[0; 12]);
        assert!(!proven);
        let found = sum(&sizes, &factors, &choice);
        // No single change is better.
        for v in 0..12 {
            for option in 0..6 {
                let mut other = choice.clone();
                other[v] = option;
                assert!(sum(&sizes, &factors, &other) >= found - 1e-12);
            }
        }
    }

    #[test]
    fn a_search_that_is_asked_to_stop_gives_what_it_started_from() {
        let (sizes, factors) = dense();
        let stop = Stop::default();
        stop.request();
        let found = Elimination::new(&sizes, &factors).minimize(&factors, &[3; 12], &Limit::new(stop, None));
        assert_eq!(found, (vec![3; 12], false));
    }

    #[test]
    fn a_chain_of_many_variables_takes_small_tables_only() {
        let sizes = vec![30; 200];
        let pairs = (0..199).map(|v| Factor::new(vec![v, v + 1], &sizes, |at| at[0].abs_diff(at[1] + 1) as f64));
        let factors: Vec<Factor> = pairs.collect();
        let order = Elimination::new(&sizes, &factors);
        assert!(order.held.is_empty() && order.entries <= 200.0 * 900.0);
    }
}
