use proptest::prelude::*;

use super::{Frontier, LossCurve, ParetoPoint, Resource, SearchSpace, undominated};
use crate::device::{Limit, Stop};
use crate::plan::factor::{Factor, each};

/// Three groups in a chain with random losses; the resource is the sum of products of neighbours' widths.
fn chain(seed: u64) -> (SearchSpace, Vec<LossCurve>, Resource) {
    let mut random = fastrand::Rng::with_seed(seed);
    let groups = vec![0, 1, 2];
    let options: Vec<Vec<usize>> = (0..3).map(|_| vec![2, 4, 6, 8]).collect();
    let space = SearchSpace {
        groups,
        options: options.clone(),
        base: vec![8; 3],
        together: Vec::new(),
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
        together: Vec::new(),
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
            together: Vec::new(),
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

/// Two groups that only go together: none goes alone, however much that would save.
#[test]
fn groups_of_one_branch_go_together_or_not_at_all() {
    let space = SearchSpace {
        groups: vec![0, 1],
        options: vec![vec![0, 2, 4]; 2],
        base: vec![4; 2],
        together: vec![[0, 1]],
    };
    let curve = LossCurve::new(4, &[0.0, 0.1, 0.2, 0.3], &[(2, 1.0)]).or_gone(0.75);
    let used = |over: usize| Factor::new(vec![over], &space.sizes(), |at| [0.0, 2.0, 4.0][at[0]]);
    let resource = Resource {
        factors: vec![used(0), used(1)],
    };
    let curves = |_: usize| Some(&curve);
    let mut frontier = Frontier::new(&space, &curves, &resource, &Limit::default());
    // One group gone would take 4 and lose 0.75, both 2 lose 2.
    let half = frontier.within(4.0).map(|p| (space.counts(&p.choice), p.loss, p.used));
    assert_eq!(half, Some((vec![0, 0], 1.5, 0.0)));
    assert_eq!(frontier.within(6.5).map(|p| p.loss), Some(1.0));
    assert_eq!(frontier.least().used, 0.0);
    for point in frontier.curve() {
        let counts = space.counts(&point.choice);
        assert_eq!(counts[0] == 0, counts[1] == 0, "{counts:?}");
    }
}

#[test]
fn points_that_lose_more_than_one_that_uses_less_are_left_out() {
    let point = |used: f64, loss: f64| ParetoPoint {
        choice: vec![],
        loss,
        used,
    };
    let found = undominated(vec![
        point(9.0, 0.0),
        point(7.0, 3.0),
        point(6.0, 1.0),
        point(6.0, 2.0),
        point(4.0, 2.0),
        point(2.0, 5.0),
    ]);
    let kept: Vec<(f64, f64)> = found.iter().map(|p| (p.used, p.loss)).collect();
    assert_eq!(kept, [(9.0, 0.0), (6.0, 1.0), (4.0, 2.0), (2.0, 5.0)]);
}
