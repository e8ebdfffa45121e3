//! The choice of one option for each variable with the least sum of tables: exact by eliminating variables (Bertelè and
//! Brioschi, 1972), as long as the tables that arise stay small.

use std::collections::BTreeSet;

use super::factor::Factor;
use crate::device::Limit;

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
    /// Variables that are held, because they share tables with too many others.
    held: Vec<usize>,
    /// Entries of all tables that arise.
    entries: f64,
}

impl Elimination {
    /// Each time the variable with the smallest table goes; where every table would be too large, the one that shares
    /// tables with most others is held.
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
        // Tables are taken at the options of held variables before anything is eliminated, also of those held after it was ordered.
        for (_, rest) in &mut found.order {
            rest.retain(|u| !found.held.contains(u));
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
                (best, least) = self.sweep(factors, best, least, limit);
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
    /// The best choice found, and its sum, from `best` and `least` on.
    fn sweep(&self, factors: &[Factor], mut best: Vec<usize>, mut least: f64, limit: &Limit) -> (Vec<usize>, f64) {
        for &v in &self.held {
            for option in 0..self.sizes[v] {
                let mut other = best.clone();
                other[v] = option;
                let Some(found) = self.eliminate(factors, &other, limit) else {
                    return (best, least);
                };
                let value: f64 = factors.iter().map(|f| f.at(&self.sizes, &found)).sum();
                if value < least {
                    (best, least) = (found, value);
                }
            }
        }
        (best, least)
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
mod tests;
