//! The planner against a mixed-integer solver on problems that are too large to try out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use microlp::{ComparisonOp, OptimizationDirection, Problem, SolveOutcome};
use snapprune::plan::{Factor, minimize};

/// A stream that every block reads and writes, with a hidden width in each block: the shape of a residual stage, and a
/// second stage behind the first.
fn stages(seed: u64) -> (Vec<usize>, Vec<Factor>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (blocks, options) = (5, 4);
    let sizes = vec![options; 2 * (blocks + 1)];
    let mut factors = Vec::new();
    let mut streams = Vec::new();
    for stage in 0..2 {
        let stream = stage * (blocks + 1);
        streams.push(stream);
        for hidden in stream + 1..=stream + blocks {
            for _ in 0..2 {
                factors.push(Factor::new(vec![stream, hidden], &sizes, |at| {
                    (at[0] + 1) as f64 * (at[1] + 1) as f64 * (0.5 + random.f64())
                }));
            }
        }
    }
    factors.push(Factor::new(streams, &sizes, |at| {
        (at[0] + 1) as f64 * (at[1] + 1) as f64
    }));
    for v in 0..sizes.len() {
        // What a width loses: less with every option.
        let most = 30.0 * random.f64();
        factors.push(Factor::new(vec![v], &sizes, |at| most / (at[0] + 1) as f64));
    }
    (sizes, factors)
}

/// The least sum as a mixed-integer program: one binary variable an option, one for each pair in a table.
fn solved(sizes: &[usize], factors: &[Factor]) -> f64 {
    let mut problem = Problem::new(OptimizationDirection::Minimize);
    let mut costs: Vec<Vec<f64>> = sizes.iter().map(|&n| vec![0.0; n]).collect();
    for f in factors.iter().filter(|f| f.over.len() == 1) {
        for (o, c) in f.table.iter().enumerate() {
            costs[f.over[0]][o] += c;
        }
    }
    let chosen: Vec<Vec<_>> = costs
        .iter()
        .map(|list| list.iter().map(|&c| problem.add_binary_var(c)).collect())
        .collect();
    for list in &chosen {
        let sum: Vec<_> = list.iter().map(|&x| (x, 1.0)).collect();
        problem.add_constraint(sum.as_slice(), ComparisonOp::Eq, 1.0);
    }
    for f in factors.iter().filter(|f| f.over.len() == 2) {
        let (a, b) = (f.over[0], f.over[1]);
        let pair: Vec<Vec<_>> = (0..sizes[a])
            .map(|i| {
                (0..sizes[b])
                    .map(|j| problem.add_var(f.table[i * sizes[b] + j], (0.0, 1.0)))
                    .collect()
            })
            .collect();
        // The pairs of an option sum to whether it is chosen: the tight relaxation of a product.
        for i in 0..sizes[a] {
            let mut sum: Vec<_> = (0..sizes[b]).map(|j| (pair[i][j], 1.0)).collect();
            sum.push((chosen[a][i], -1.0));
            problem.add_constraint(sum.as_slice(), ComparisonOp::Eq, 0.0);
        }
        for j in 0..sizes[b] {
            let mut sum: Vec<_> = (0..sizes[a]).map(|i| (pair[i][j], 1.0)).collect();
            sum.push((chosen[b][j], -1.0));
            problem.add_constraint(sum.as_slice(), ComparisonOp::Eq, 0.0);
        }
    }
    match problem.solve().expect("a feasible problem") {
        SolveOutcome::Solution(solution) => solution.objective(),
        SolveOutcome::Interrupted(why) => panic!("{why:?}"),
    }
}

#[test]
fn the_planner_finds_what_a_mixed_integer_solver_finds() {
    for seed in 0..6 {
        let (sizes, factors) = stages(seed);
        let (choice, proven) = minimize(&sizes, &factors, &vec![0; sizes.len()]);
        assert!(proven);
        let ours: f64 = factors.iter().map(|f| f.at(&sizes, &choice)).sum();
        let theirs = solved(&sizes, &factors);
        assert!((ours - theirs).abs() < 1e-6 * theirs, "seed {seed}: {ours} {theirs}");
    }
}
