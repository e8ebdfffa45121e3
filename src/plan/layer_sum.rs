//! The time of a layer that reads or makes channels of many groups, as a sum of functions of few of them.

use std::collections::BTreeSet;

use super::factor::Factor;
use super::layer_groups::ChannelCounts;
use super::space::{Decomposition, SearchSpace};

/// Plans that a sum is compared on.
const TRIED: usize = 48;
/// How much nearer a line must be to be taken.
const NEARER: f64 = 0.5;

/// A function of the counts of some groups.
type OfCounts<'a> = &'a dyn Fn(&ChannelCounts) -> f64;

/// How a layer's time is written as a sum.
#[derive(Clone, Debug)]
pub(super) struct LayerSum {
    sum: Decomposition,
    line: Option<Line>,
}

/// A layer's time as linear in its work.
#[derive(Clone, Copy, Debug)]
struct Line {
    ms: f64,
    work: f64,
    slope: f64,
}

impl Line {
    fn at(self, work: f64) -> f64 {
        self.ms + self.slope * (work - self.work)
    }

    /// Through the time at `base`, with the slope that is nearest to those of `plans` (least squares); in proportion to the work where steps hide it,
    /// so that less work never takes longer, nor no work less than nothing.
    fn through(base: &ChannelCounts, plans: &[ChannelCounts], time: OfCounts, work: OfCounts) -> Self {
        let (ms, own) = (time(base), work(base));
        let (mut both, mut squares) = (0.0, 0.0);
        for plan in plans {
            let more = work(plan) - own;
            both += more * (time(plan) - ms);
            squares += more * more;
        }
        let proportional = if own > 0.0 { ms / own } else { 0.0 };
        let fitted = if squares > 0.0 { both / squares } else { 0.0 };
        let slope = match (0.0..=proportional).contains(&fitted) {
            true => fitted,
            false => proportional,
        };
        Self { ms, work: own, slope }
    }
}

impl LayerSum {
    /// The time itself.
    pub fn joint() -> Self {
        Self {
            sum: Decomposition::Joint,
            line: None,
        }
    }

    /// With one table for each addend, over the options of the space. What each group and each two change is a good sum for what rises
    /// evenly; where a width is made of many groups and time has steps, each of them crosses the same step, and steps add up that are not there. A
    /// line through the time at the present widths is taken there, if it is nearer to the times of plans.
    pub fn new(space: &SearchSpace, groups: &BTreeSet<usize>, time: OfCounts, work: OfCounts) -> (Self, Vec<Factor>) {
        let (sum, tables) = Decomposition::new(space, groups, time);
        if matches!(sum, Decomposition::Joint) {
            return (Self { sum, line: None }, tables);
        }
        let mut random = fastrand::Rng::with_seed(1);
        let mut plan = || {
            let choice: Vec<usize> = space.options.iter().map(|o| random.usize(..o.len().max(1))).collect();
            space.counts(&choice)
        };
        let plans: Vec<ChannelCounts> = (0..TRIED).map(|_| plan()).collect();
        let line = Line::through(&space.base, &plans, time, work);
        let off = |of: OfCounts| plans.iter().map(|p| (of(p) - time(p)).abs()).sum::<f64>();
        if off(&|p| line.at(work(p))) >= NEARER * off(&|p| sum.at(&space.base, p, time)) {
            return (Self { sum, line: None }, tables);
        }
        let (sum, tables) = Decomposition::new(space, groups, &|p| line.at(work(p)));
        (Self { sum, line: Some(line) }, tables)
    }

    /// The sum under a plan; `base` are the present counts.
    pub fn at(&self, base: &ChannelCounts, plan: &ChannelCounts, time: OfCounts, work: OfCounts) -> f64 {
        match self.line {
            Some(line) => self.sum.at(base, plan, &|p| line.at(work(p))),
            None => self.sum.at(base, plan, time),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{LayerSum, SearchSpace};

    /// Twelve groups side by side are the width of a layer.
    fn space() -> SearchSpace {
        SearchSpace {
            groups: (0..12).collect(),
            options: vec![(1..=8).collect(); 12],
            base: vec![4; 12],
            together: Vec::new(),
        }
    }

    fn width(counts: &[usize]) -> f64 {
        counts.iter().sum::<usize>() as f64
    }

    /// The largest difference from the right time over some plans, as the tables and the sum have it.
    fn worst(time: &dyn Fn(&Vec<usize>) -> f64) -> f64 {
        let space = space();
        let (sum, tables) = LayerSum::new(&space, &(0..12).collect::<BTreeSet<_>>(), time, &|c| width(c));
        let mut random = fastrand::Rng::with_seed(7);
        let mut worst = 0.0f64;
        for _ in 0..50 {
            let choice: Vec<usize> = (0..12).map(|_| random.usize(0..8)).collect();
            let counts = space.counts(&choice);
            let added: f64 = tables.iter().map(|f| f.at(&space.sizes(), &choice)).sum();
            assert!((added - sum.at(&space.base, &counts, time, &|c| width(c))).abs() < 1e-6);
            worst = worst.max((added - time(&counts)).abs());
        }
        assert!((sum.at(&space.base, &space.base, time, &|c| width(c)) - time(&space.base)).abs() < 1e-9);
        worst
    }

    #[test]
    fn what_rises_evenly_is_exact() {
        assert!(worst(&|c| 3.0 + width(c) * width(c)) < 1e-6);
    }

    #[test]
    fn steps_that_every_group_crosses_are_not_added_up() {
        // Ten times as slow off the multiples of four, as depthwise layers are.
        let slow = |width: f64| !(width as usize).is_multiple_of(4);
        let jagged = |c: &Vec<usize>| width(c) * if slow(width(c)) { 1.0 } else { 0.1 };
        for (present, least, most) in [(8, 1, 8), (4, 1, 8), (8, 8, 16)] {
            let space = SearchSpace {
                options: vec![(least..=most).collect(); 12],
                base: vec![present; 12],
                ..space()
            };
            let (sum, _) = LayerSum::new(&space, &(0..12).collect::<BTreeSet<_>>(), &jagged, &|c| width(c));
            let at = |each: usize| sum.at(&space.base, &vec![each; 12], &jagged, &|c| width(c));
            for each in (least..=most).step_by(4) {
                let right = jagged(&vec![each; 12]);
                assert!((0.5 * right..2.0 * right).contains(&at(each)), "{present} to {each}");
            }
        }
        let blocks = |c: &Vec<usize>| (width(c) / 16.0).ceil();
        assert!(worst(&blocks) < 2.0, "{}", worst(&blocks));
    }
}
