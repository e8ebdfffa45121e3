//! The choice of one option for each variable with the least sum of tables: exact by eliminating variables (Bertelè and
//! Brioschi, 1972), as long as the tables that arise stay small.

use std::collections::BTreeSet;

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
}

/// Every combination of options of some variables, the last variable's fastest.
fn each(over: &[usize], sizes: &[usize], mut see: impl FnMut(&[usize])) {
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
const MOST: usize = 1 << 20;
/// Sweeps over variables that had to be held.
const SWEEPS: usize = 12;

/// The choice with the least sum of `factors`, and whether it is proven to be: it is unless variables hang together so
/// densely that some had to be held; those are then improved in turns, from `start` on.
pub fn minimize(sizes: &[usize], factors: &[Factor], start: &[usize]) -> (Vec<usize>, bool) {
    let held = to_hold(sizes, factors);
    if held.is_empty() {
        return (eliminate(sizes, factors, &held, start), true);
    }
    let sum = |choice: &[usize]| -> f64 { factors.iter().map(|f| f.at(sizes, choice)).sum() };
    let mut best = eliminate(sizes, factors, &held, start);
    let mut least = sum(&best);
    for _ in 0..SWEEPS {
        let before = least;
        for &v in &held {
            for option in 0..sizes[v] {
                let mut other = best.clone();
                other[v] = option;
                let found = eliminate(sizes, factors, &held, &other);
                let value = sum(&found);
                if value < least {
                    (best, least) = (found, value);
                }
            }
        }
        if least >= before {
            break;
        }
    }
    (best, false)
}

/// Variables in the order in which they are eliminated, each time that with the smallest table.
fn order(sizes: &[usize], factors: &[Factor], held: &BTreeSet<usize>) -> Vec<(usize, BTreeSet<usize>)> {
    let mut scopes: Vec<BTreeSet<usize>> = factors
        .iter()
        .map(|f| f.over.iter().copied().filter(|v| !held.contains(v)).collect())
        .collect();
    let mut left: BTreeSet<usize> = (0..sizes.len()).filter(|v| !held.contains(v)).collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let around = |v: usize| -> BTreeSet<usize> {
            let with = scopes.iter().filter(|s| s.contains(&v));
            with.flatten().copied().chain([v]).collect()
        };
        let cost = |v: &usize| around(*v).iter().map(|&u| sizes[u] as f64).product::<f64>();
        let next = left
            .iter()
            .copied()
            .min_by(|a, b| cost(a).total_cmp(&cost(b)).then(a.cmp(b)));
        let Some(v) = next else { break };
        let mut scope = around(v);
        order.push((v, scope.clone()));
        scope.remove(&v);
        scopes.retain(|s| !s.contains(&v));
        scopes.push(scope);
        left.remove(&v);
    }
    order
}

/// Variables to hold so that no table grows past the limit: each time the one that most tables hang on.
fn to_hold(sizes: &[usize], factors: &[Factor]) -> BTreeSet<usize> {
    let mut held = BTreeSet::new();
    loop {
        let order = order(sizes, factors, &held);
        let size = |scope: &BTreeSet<usize>| scope.iter().map(|&u| sizes[u] as f64).product::<f64>();
        let Some((_, largest)) = order.iter().max_by(|a, b| size(&a.1).total_cmp(&size(&b.1))) else {
            return held;
        };
        if size(largest) <= MOST as f64 {
            return held;
        }
        let uses = |v: &usize| factors.iter().filter(|f| f.over.contains(v)).count();
        let most = largest.iter().copied().max_by_key(|v| (uses(v), std::cmp::Reverse(*v)));
        held.extend(most);
    }
}

/// Exact for the variables that are not held.
fn eliminate(sizes: &[usize], factors: &[Factor], held: &BTreeSet<usize>, fixed: &[usize]) -> Vec<usize> {
    let mut tables: Vec<Factor> = factors.iter().map(|f| condition(f, sizes, held, fixed)).collect();
    let mut steps: Vec<(usize, Factor)> = Vec::new();
    for (v, scope) in order(sizes, factors, held) {
        let (with, without): (Vec<Factor>, Vec<Factor>) = tables.into_iter().partition(|f| f.over.contains(&v));
        tables = without;
        let rest: Vec<usize> = scope.iter().copied().filter(|&u| u != v).collect();
        let mut choice = fixed.to_vec();
        let mut picks = Vec::new();
        let table = Factor::new(rest.clone(), sizes, |at| {
            rest.iter().zip(at).for_each(|(&u, &o)| choice[u] = o);
            let mut best = (f64::INFINITY, 0);
            for option in 0..sizes[v] {
                choice[v] = option;
                let sum: f64 = with.iter().map(|f| f.at(sizes, &choice)).sum();
                if sum < best.0 {
                    best = (sum, option);
                }
            }
            picks.push(best.1 as f64);
            best.0
        });
        let picks = Factor {
            over: rest,
            table: picks,
        };
        steps.push((v, picks));
        tables.push(table);
    }
    let mut choice = fixed.to_vec();
    for (v, picks) in steps.iter().rev() {
        choice[*v] = picks.at(sizes, &choice) as usize;
    }
    choice
}

/// A table with the held variables at their options.
fn condition(factor: &Factor, sizes: &[usize], held: &BTreeSet<usize>, fixed: &[usize]) -> Factor {
    let over: Vec<usize> = factor.over.iter().copied().filter(|v| !held.contains(v)).collect();
    if over.len() == factor.over.len() {
        return factor.clone();
    }
    let choice = fixed.to_vec();
    Factor::new(over.clone(), sizes, |at| {
        let mut choice = choice.clone();
        over.iter().zip(at).for_each(|(&v, &o)| choice[v] = o);
        factor.at(sizes, &choice)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Factor, each, minimize};

    /// A few variables with two to four options, and tables over one to three of them.
    fn problem() -> impl Strategy<Value = (Vec<usize>, Vec<Factor>)> {
        (prop::collection::vec(2usize..5, 2..7), any::<u64>(), 3usize..12).prop_map(|(sizes, seed, count)| {
            let mut random = fastrand::Rng::with_seed(seed);
            let factors = (0..count)
                .map(|_| {
                    let mut over = random.choose_multiple(0..sizes.len(), random.clone().usize(1..4));
                    over.sort_unstable();
                    Factor::new(over, &sizes, |_| random.f64())
                })
                .collect();
            (sizes, factors)
        })
    }

    fn sum(sizes: &[usize], factors: &[Factor], choice: &[usize]) -> f64 {
        factors.iter().map(|f| f.at(sizes, choice)).sum()
    }

    proptest! {
        #[test]
        fn the_choice_is_the_best_of_all((sizes, factors) in problem()) {
            let all: Vec<usize> = (0..sizes.len()).collect();
            let mut least = f64::INFINITY;
            each(&all, &sizes, |at| least = least.min(sum(&sizes, &factors, at)));
            let (choice, proven) = minimize(&sizes, &factors, &vec![0; sizes.len()]);
            prop_assert!(proven);
            prop_assert!((sum(&sizes, &factors, &choice) - least).abs() < 1e-9);
        }
    }

    #[test]
    fn variables_that_all_hang_together_are_held_in_turns() {
        // Twelve variables of six options with a table for every pair: past the limit.
        let sizes = vec![6; 12];
        let mut random = fastrand::Rng::with_seed(1);
        let mut factors = Vec::new();
        for a in 0..12 {
            for b in a + 1..12 {
                factors.push(Factor::new(vec![a, b], &sizes, |_| random.f64()));
            }
        }
        let start = vec![0; 12];
        let (choice, proven) = minimize(&sizes, &factors, &start);
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
}
