use proptest::prelude::*;

use super::{Elimination, Factor, minimize};
use crate::device::{Limit, Stop};
use crate::plan::factor::each;

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
fn a_variable_may_be_held_whose_neighbour_is_ordered_already() {
    let (mut sizes, mut factors) = dense();
    sizes.extend([2; 12]);
    let mut random = fastrand::Rng::with_seed(2);
    // Each of the twelve has one that hangs on it alone, and goes first.
    factors.extend((0..12).map(|v| Factor::new(vec![v, v + 12], &sizes, |_| random.f64())));
    let (choice, proven) = minimize(&sizes, &factors, &[0; 24]);
    assert!(!proven);
    let found = sum(&sizes, &factors, &choice);
    for v in 12..24 {
        let mut other = choice.clone();
        other[v] = 1 - choice[v];
        assert!(sum(&sizes, &factors, &other) >= found - 1e-12);
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
