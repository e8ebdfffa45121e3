//! The options of every group that may change, and functions of a plan as tables over them.

use std::collections::BTreeSet;

use super::factor::{Factor, each};
use super::layer_groups::ChannelCounts;

/// Entries up to which the options of three and more groups are one table.
const SMALL: f64 = 4096.0;
/// Two groups that together change less than this share of the whole beyond what each changes alone are independent.
const NOTHING: f64 = 1e-4;

/// The options of every group that may change: the variables of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchSpace {
    /// Groups, ascending.
    pub groups: Vec<usize>,
    /// Channel counts of each, ascending; the present one is among them.
    pub options: Vec<Vec<usize>>,
    /// Present counts of all groups.
    pub base: ChannelCounts,
    /// Groups within one branch, which have no channels together or not at all.
    pub together: Vec<[usize; 2]>,
}

impl SearchSpace {
    /// The number of options of each variable.
    pub fn sizes(&self) -> Vec<usize> {
        self.options.iter().map(Vec::len).collect()
    }

    /// The choice that changes nothing.
    pub fn present(&self) -> Vec<usize> {
        let at = |(g, options): (&usize, &Vec<usize>)| options.iter().position(|&n| n == self.base[*g]).unwrap_or(0);
        self.groups.iter().zip(&self.options).map(at).collect()
    }

    /// The counts of all groups under a choice.
    pub fn counts(&self, choice: &[usize]) -> ChannelCounts {
        let mut counts = self.base.clone();
        for (v, &g) in self.groups.iter().enumerate() {
            counts[g] = self.options[v][choice[v]];
        }
        counts
    }

    /// A table over those variables of `groups` that may change.
    pub(super) fn factor(&self, groups: &BTreeSet<usize>, value: impl Fn(&ChannelCounts) -> f64) -> Factor {
        let over: Vec<usize> = (0..self.groups.len())
            .filter(|&v| groups.contains(&self.groups[v]))
            .collect();
        let mut counts = self.base.clone();
        Factor::new(over.clone(), &self.sizes(), |at| {
            over.iter()
                .zip(at)
                .for_each(|(&v, &o)| counts[self.groups[v]] = self.options[v][o]);
            value(&counts)
        })
    }

    /// Whether a group may go as a whole.
    pub fn may_go(&self, group: usize) -> bool {
        let at = self.groups.iter().position(|&g| g == group);
        at.is_some_and(|v| self.options[v].contains(&0))
    }

    /// Tables that are infinite where a group is gone without one that it goes together with, 0 elsewhere.
    pub(super) fn apart(&self) -> Vec<Factor> {
        let table = |pair: &[usize; 2]| {
            let [a, b] = *pair;
            let alone = |c: &ChannelCounts| (c[a] == 0) != (c[b] == 0);
            self.factor(&BTreeSet::from(*pair), |c| if alone(c) { f64::INFINITY } else { 0.0 })
        };
        self.together.iter().map(table).collect()
    }

    /// Tables that are 0 where a group is gone, with all that is in its branch.
    pub(super) fn gone_with(&self, first: Option<usize>, tables: Vec<Factor>) -> Vec<Factor> {
        let Some(first) = first.filter(|&g| self.may_go(g)) else {
            return tables;
        };
        let sizes = self.sizes();
        let gated = |table: Factor| {
            let mut groups: BTreeSet<usize> = table.over.iter().map(|&v| self.groups[v]).collect();
            groups.insert(first);
            let option = |v: usize, n: usize| self.options[v].iter().position(|&own| own == n).unwrap_or(0);
            self.factor(&groups, |counts| {
                let mut choice = vec![0; sizes.len()];
                table
                    .over
                    .iter()
                    .for_each(|&v| choice[v] = option(v, counts[self.groups[v]]));
                if counts[first] == 0 {
                    0.0
                } else {
                    table.at(&sizes, &choice)
                }
            })
        };
        let ends = |table: &Factor| self.ends_with(first, table, &sizes);
        tables
            .into_iter()
            .map(|t| if ends(&t) { t } else { gated(t) })
            .collect()
    }

    /// Whether a table is 0 by itself where a group is gone, or one that goes together with it.
    fn ends_with(&self, first: usize, table: &Factor, sizes: &[usize]) -> bool {
        let goes = |g: usize| g == first || self.together.contains(&[first, g]);
        table.over.iter().enumerate().any(|(k, &v)| {
            let mut values = table.table.iter();
            let mut nothing = goes(self.groups[v]);
            each(&table.over, sizes, |at| {
                let value = values.next().copied().unwrap_or(0.0);
                nothing &= self.options[v][at[k]] > 0 || value == 0.0;
            });
            nothing
        })
    }

    /// A function of some groups as tables.
    pub(super) fn factors(&self, groups: &BTreeSet<usize>, value: &dyn Fn(&ChannelCounts) -> f64) -> Vec<Factor> {
        Decomposition::new(self, groups, value).1
    }
}

/// A function of the counts of some groups, written as a sum of functions of few of them.
#[derive(Clone, Debug)]
pub(super) enum Decomposition {
    /// The function itself: of up to two groups, or of few options.
    Joint,
    /// What each group changes alone and what each two change together, the others as they are: exact for every sum of
    /// products of two axis lengths, as multiply-accumulates and weights are, whatever number of groups a length is made of.
    Pairwise {
        /// The groups.
        groups: Vec<usize>,
        /// Pairs that change something together beyond what each changes alone.
        pairs: Vec<[usize; 2]>,
    },
}

impl Decomposition {
    /// Joint for up to two groups that may change, or while the table of all their options is small. With one table for each
    /// addend, over the options of the space.
    pub fn new(
        space: &SearchSpace,
        groups: &BTreeSet<usize>,
        value: &dyn Fn(&ChannelCounts) -> f64,
    ) -> (Self, Vec<Factor>) {
        let over: Vec<usize> = (0..space.groups.len())
            .filter(|&v| groups.contains(&space.groups[v]) && space.options[v].len() > 1)
            .collect();
        let entries: f64 = over.iter().map(|&v| space.options[v].len() as f64).product();
        if over.len() <= 2 || entries <= SMALL {
            return (Self::Joint, vec![space.factor(groups, value)]);
        }
        let whole = value(&space.base);
        let mut factors = vec![space.factor(&BTreeSet::new(), |_| whole)];
        for &v in &over {
            factors.push(space.factor(&BTreeSet::from([space.groups[v]]), |c| value(c) - whole));
        }
        let mut pairs = Vec::new();
        for (k, &v) in over.iter().enumerate() {
            for (l, &u) in over.iter().enumerate().skip(k + 1) {
                let mut pair = space.factor(&BTreeSet::from([space.groups[v], space.groups[u]]), value);
                let (own, other) = (&factors[1 + k].table, &factors[1 + l].table);
                for (row, a) in pair.table.chunks_exact_mut(other.len()).zip(own) {
                    row.iter_mut().zip(other).for_each(|(t, b)| *t += -a - b - whole);
                }
                if pair.table.iter().any(|t| t.abs() > NOTHING * whole.abs()) {
                    pairs.push([space.groups[v], space.groups[u]]);
                    factors.push(pair);
                }
            }
        }
        let groups = over.iter().map(|&v| space.groups[v]).collect();
        (Self::Pairwise { groups, pairs }, factors)
    }

    /// The sum under a plan; `base` are the present counts.
    pub fn at(&self, base: &ChannelCounts, counts: &ChannelCounts, value: &dyn Fn(&ChannelCounts) -> f64) -> f64 {
        match self {
            Self::Joint => value(counts),
            Self::Pairwise { groups, pairs } => {
                let single = groups.iter().map(|&g| alone(g, base, counts, value));
                let double = pairs.iter().map(|&pair| together(pair, base, counts, value));
                value(base) + single.sum::<f64>() + double.sum::<f64>()
            }
        }
    }
}

/// The present counts with some groups as in a plan.
fn with(groups: &[usize], base: &ChannelCounts, counts: &ChannelCounts) -> ChannelCounts {
    let mut found = base.clone();
    groups.iter().for_each(|&g| found[g] = counts[g]);
    found
}

/// What one group changes, the others as they are.
fn alone(group: usize, base: &ChannelCounts, counts: &ChannelCounts, value: &dyn Fn(&ChannelCounts) -> f64) -> f64 {
    value(&with(&[group], base, counts)) - value(base)
}

/// What two groups change together beyond what each changes alone.
fn together(
    pair: [usize; 2],
    base: &ChannelCounts,
    counts: &ChannelCounts,
    value: &dyn Fn(&ChannelCounts) -> f64,
) -> f64 {
    let [a, b] = pair.map(|g| alone(g, base, counts, value));
    value(&with(&pair, base, counts)) - value(base) - a - b
}

#[cfg(test)]
mod tests {
    use super::{Decomposition, SearchSpace};
    use std::collections::BTreeSet;

    /// Four groups of twenty options side by side make the input of a layer, two its output.
    #[test]
    fn products_of_sums_of_many_groups_are_exact_and_take_tables_of_pairs_only() {
        let space = SearchSpace {
            groups: (0..6).collect(),
            options: vec![(1..=20).collect(); 6],
            base: vec![20; 6],
            together: Vec::new(),
        };
        let value = |c: &Vec<usize>| {
            let input: usize = 3 + c[..4].iter().sum::<usize>();
            (9 * input * (c[4] + 2 * c[5])) as f64
        };
        let (sum, factors) = Decomposition::new(&space, &(0..6).collect::<BTreeSet<_>>(), &value);
        assert!(factors.iter().all(|f| f.over.len() <= 2));
        // Parts of one sum are independent.
        let paired = |a: usize, b: usize| factors.iter().any(|f| f.over == [a, b]);
        assert!(paired(0, 4) && paired(3, 5) && !paired(0, 1) && !paired(4, 5));
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..100 {
            let choice: Vec<usize> = (0..6).map(|_| random.usize(0..20)).collect();
            let counts = space.counts(&choice);
            let right = value(&counts);
            let tables: f64 = factors.iter().map(|f| f.at(&space.sizes(), &choice)).sum();
            assert!((tables - right).abs() < 1e-6 * right);
            assert!((sum.at(&space.base, &counts, &value) - right).abs() < 1e-6 * right);
        }
    }
}
