//! What a plan uses: latency, multiply-accumulates or parameters, as tables over the groups of each layer.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::cost::{Costs, WidthPair};
use super::eliminate::Factor;
use crate::channels::{Analysis, ValueId, node_macs};
use crate::onnx::Graph;

/// Entries up to which the options of three and more groups are one table.
const SMALL: f64 = 4096.0;
/// Two groups that together change less than this share of the whole beyond what each changes alone hang together not at all.
const NOTHING: f64 = 1e-4;

/// The options of every group that may change: the variables of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchSpace {
    /// Groups, ascending.
    pub groups: Vec<usize>,
    /// Channel counts of each, ascending; the present one is among them.
    pub options: Vec<Vec<usize>>,
    /// Present counts of all groups.
    pub base: WidthPair,
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
    pub fn counts(&self, choice: &[usize]) -> WidthPair {
        let mut counts = self.base.clone();
        for (v, &g) in self.groups.iter().enumerate() {
            counts[g] = self.options[v][choice[v]];
        }
        counts
    }

    /// A table over those variables of `groups` that may change.
    fn factor(&self, groups: &BTreeSet<usize>, value: impl Fn(&WidthPair) -> f64) -> Factor {
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

    /// One table for up to two groups, or while it is small. For more, what each group changes alone and what each two
    /// change together, the others as they are: right for every sum of products of two extents, as multiply-accumulates
    /// and weights are, whatever number of groups an extent is made of. Pairs that change nothing together have no table.
    fn factors(&self, groups: &BTreeSet<usize>, value: &dyn Fn(&WidthPair) -> f64) -> Vec<Factor> {
        let over: Vec<usize> = (0..self.groups.len())
            .filter(|&v| groups.contains(&self.groups[v]) && self.options[v].len() > 1)
            .collect();
        let entries: f64 = over.iter().map(|&v| self.options[v].len() as f64).product();
        if over.len() <= 2 || entries <= SMALL {
            return vec![self.factor(groups, value)];
        }
        let sizes = self.sizes();
        let whole = value(&self.base);
        let mut counts = self.base.clone();
        let mut at = |set: &[(usize, usize)]| {
            set.iter()
                .for_each(|&(v, o)| counts[self.groups[v]] = self.options[v][o]);
            let found = value(&counts);
            set.iter()
                .for_each(|&(v, _)| counts[self.groups[v]] = self.base[self.groups[v]]);
            found
        };
        let mut factors = vec![self.factor(&BTreeSet::new(), |_| whole)];
        for &v in &over {
            factors.push(Factor::new(vec![v], &sizes, |o| at(&[(v, o[0])]) - whole));
        }
        for (k, &v) in over.iter().enumerate() {
            for (l, &u) in over.iter().enumerate().skip(k + 1) {
                let (own, other) = (factors[1 + k].table.clone(), factors[1 + l].table.clone());
                let pair = Factor::new(vec![v, u], &sizes, |o| {
                    at(&[(v, o[0]), (u, o[1])]) - own[o[0]] - other[o[1]] - whole
                });
                if pair.table.iter().any(|t| t.abs() > NOTHING * whole.abs()) {
                    factors.push(pair);
                }
            }
        }
        factors
    }
}

/// A resource as a sum of tables.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The tables.
    pub factors: Vec<Factor>,
}

impl Resource {
    /// What a choice uses.
    pub fn of(&self, sizes: &[usize], choice: &[usize]) -> f64 {
        self.factors.iter().map(|f| f.at(sizes, choice)).sum()
    }

    /// A weighted sum of resources.
    pub fn weighted(parts: &[(f64, &Self)]) -> Self {
        let scaled = |weight: f64, f: &Factor| Factor {
            over: f.over.clone(),
            table: f.table.iter().map(|t| t * weight).collect(),
        };
        let factors = parts
            .iter()
            .flat_map(|(w, r)| r.factors.iter().map(move |f| scaled(*w, f)));
        Self {
            factors: factors.collect(),
        }
    }

    /// Predicted latency in milliseconds from measured layer times. `shares` tells how what surrounds the layers
    /// spreads over the groups that it goes with (`None`: over nothing that changes).
    pub fn latency(space: &SearchSpace, costs: &Costs, shares: &BTreeMap<Option<usize>, f64>) -> Self {
        let mut factors = Vec::new();
        for layer in costs.all() {
            let groups = costs.groups_of(layer);
            let known: RefCell<HashMap<(usize, usize), f64>> = RefCell::default();
            factors.extend(space.factors(&groups, &|counts| {
                let widths = costs.widths_at(layer, counts);
                *known
                    .borrow_mut()
                    .entry(widths)
                    .or_insert_with(|| costs.scaled_time(layer, counts))
            }));
        }
        // What surrounds the layers goes with the elements that it makes.
        let whole: f64 = shares.values().sum::<f64>().max(f64::MIN_POSITIVE);
        let around = costs.around();
        let moved: f64 = shares.iter().filter(|(g, _)| g.is_some()).map(|(_, s)| s).sum();
        factors.push(space.factor(&BTreeSet::new(), |_| around * (1.0 - moved / whole)));
        for (group, share) in shares.iter().filter_map(|(g, s)| g.map(|g| (g, s))) {
            let base = space.base[group].max(1) as f64;
            factors.push(space.factor(&BTreeSet::from([group]), |counts| {
                around * share / whole * counts[group] as f64 / base
            }));
        }
        Self { factors }
    }

    /// Multiply-accumulates for one sample.
    pub fn macs(space: &SearchSpace, graph: &Graph, analysis: &Analysis) -> Self {
        let widths = Widths::new(analysis);
        let mut factors = Vec::new();
        for node in (0..analysis.macs.len()).filter(|&n| analysis.macs[n] > 0) {
            let co = &analysis.dependencies;
            let values = (0..graph.proto.node[node].input.len().min(2))
                .filter_map(|i| crate::channels::input_value(co, &graph.proto.node[node], node, i))
                .chain(graph.proto.node[node].output.iter().filter_map(|n| co.by_name(n)));
            let groups = values.flat_map(|id| widths.groups(analysis, id)).collect();
            factors.extend(space.factors(&groups, &|counts| {
                let run = node_macs(graph, co, node, &|id, axis| widths.dim(id, axis, counts));
                run as f64 / analysis.samples as f64
            }));
        }
        Self { factors }
    }

    /// Weight elements.
    pub fn parameters(space: &SearchSpace, graph: &Graph, analysis: &Analysis) -> Self {
        let widths = Widths::new(analysis);
        let co = &analysis.dependencies;
        let mut seen = BTreeSet::new();
        let mut factors = Vec::new();
        for id in (0..co.values.len()).map(ValueId) {
            let value = co.value(id);
            let float = graph.constant(&value.name).is_some_and(|t| t.is_float());
            if value.constant_use.is_none() || !float || !seen.insert(value.name.clone()) {
                continue;
            }
            let groups = widths.groups(analysis, id);
            let rank = co.dims(id).len();
            factors.extend(space.factors(&groups, &|counts| {
                (0..rank).map(|axis| widths.dim(id, axis, counts) as f64).product()
            }));
        }
        Self { factors }
    }
}

/// Extents as sums over groups: what is in no group, and how many indices a channel of each takes.
struct Widths {
    of: HashMap<(ValueId, usize), (usize, BTreeMap<usize, usize>)>,
}

impl Widths {
    fn new(analysis: &Analysis) -> Self {
        let co = &analysis.dependencies;
        let free = analysis.groups.iter().filter(|g| g.constraint.is_none());
        let group_of: HashMap<u32, usize> = free.flat_map(|g| g.classes.iter().map(|&c| (c, g.id))).collect();
        let mut of = HashMap::new();
        for id in (0..co.values.len()).map(ValueId) {
            for (axis, &dim) in co.dims(id).iter().enumerate() {
                let (mut fixed, mut indices) = (0, BTreeMap::new());
                for i in 0..dim {
                    match group_of.get(&co.class(co.atom(id, axis, i))) {
                        Some(&g) => *indices.entry(g).or_insert(0) += 1,
                        None => fixed += 1,
                    }
                }
                for (g, n) in indices.iter_mut() {
                    *n /= analysis.groups[*g].classes.len();
                }
                of.insert((id, axis), (fixed, indices));
            }
        }
        Self { of }
    }

    fn groups(&self, analysis: &Analysis, id: ValueId) -> BTreeSet<usize> {
        let axes = 0..analysis.dependencies.dims(id).len();
        let found = axes.filter_map(|axis| self.of.get(&(id, axis)));
        found.flat_map(|(_, indices)| indices.keys().copied()).collect()
    }

    fn dim(&self, id: ValueId, axis: usize, counts: &WidthPair) -> usize {
        let Some((fixed, indices)) = self.of.get(&(id, axis)) else {
            return 0;
        };
        fixed + indices.iter().map(|(&g, unit)| counts[g] * unit).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::{Resource, SearchSpace};
    use std::collections::BTreeSet;

    /// Four groups of twenty options side by side make the input of a layer, two its output.
    #[test]
    fn products_of_sums_of_many_groups_are_exact_and_take_tables_of_pairs_only() {
        let space = SearchSpace {
            groups: (0..6).collect(),
            options: vec![(1..=20).collect(); 6],
            base: vec![20; 6],
        };
        let value = |c: &Vec<usize>| {
            let input: usize = 3 + c[..4].iter().sum::<usize>();
            (9 * input * (c[4] + 2 * c[5])) as f64
        };
        let resource = Resource {
            factors: space.factors(&(0..6).collect::<BTreeSet<_>>(), &value),
        };
        assert!(resource.factors.iter().all(|f| f.over.len() <= 2));
        // Parts of one sum do not hang together.
        let hang = |a: usize, b: usize| resource.factors.iter().any(|f| f.over == [a, b]);
        assert!(hang(0, 4) && hang(3, 5) && !hang(0, 1) && !hang(4, 5));
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..100 {
            let choice: Vec<usize> = (0..6).map(|_| random.usize(0..20)).collect();
            let right = value(&space.counts(&choice));
            assert!((resource.of(&space.sizes(), &choice) - right).abs() < 1e-6 * right);
        }
    }
}
