//! Residual branches: what is added to a value and may go as a whole, so that y = x + f(x) becomes y = x.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::dependency_graph::DependencyGraph;
use super::groups::Group;
use super::ops::never_negative;
use crate::onnx::{Attributes, Graph, Tensor, captured_names};
use crate::ops::{LinearSpec, Movement};

/// Nodes of a shortcut between what a branch reads and what it is added to, at most.
const SHORTCUT: usize = 8;

/// A residual branch. Without it, who reads `sum` reads `stays`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The addition.
    pub add: usize,
    /// What is added.
    pub addend: String,
    /// What it is added to.
    pub stays: String,
    /// What stands for the sum to all behind: the sum itself, or what the activation and the quantization that go with it make.
    pub sum: String,
    /// All nodes that go, by index: those of the branch, the addition, an activation that is nothing to what stays, a quantization.
    pub nodes: BTreeSet<usize>,
    /// Groups all of whose channels are within the branch, ascending.
    pub groups: Vec<usize>,
}

/// The branches of a graph by their addition. No two of them share a node: of one within another, the inner one is taken. None is added
/// to what one of `broadcasts` repeats, as that is of another shape once it goes.
pub(super) fn branches(
    graph: &Graph,
    dependencies: &DependencyGraph,
    groups: &[Group],
    macs: &[u64],
    broadcasts: &BTreeSet<usize>,
) -> BTreeMap<usize, Branch> {
    let finder = Finder {
        graph,
        dependencies,
        groups,
        macs,
        broadcasts,
        seen_outside: graph.seen_outside(),
    };
    let mut found: BTreeMap<usize, Branch> = BTreeMap::new();
    let mut taken: HashSet<usize> = HashSet::new();
    for add in 0..graph.proto.node.len() {
        if let Some(branch) = finder
            .branch(add)
            .filter(|b| b.nodes.iter().all(|n| !taken.contains(n)))
        {
            taken.extend(&branch.nodes);
            found.insert(add, branch);
        }
    }
    found
}

struct Finder<'g> {
    graph: &'g Graph<'g>,
    dependencies: &'g DependencyGraph,
    groups: &'g [Group],
    macs: &'g [u64],
    broadcasts: &'g BTreeSet<usize>,
    seen_outside: HashSet<String>,
}

impl Finder<'_> {
    /// The branch that ends in the node `add`; of two, the one with more work.
    fn branch(&self, add: usize) -> Option<Branch> {
        let node = &self.graph.proto.node[add];
        let ([a, b], true, [sum]) = (&node.input[..], node.is_standard(), &node.output[..]) else {
            return None;
        };
        if node.op_type() != "Add" || a == b {
            return None;
        }
        let dims = |name: &str| {
            let id = self.dependencies.by_name(name)?;
            self.dependencies.value(id).dims.as_ref()
        };
        let shape = dims(sum)?;
        if dims(a)? != shape || dims(b)? != shape {
            return None;
        }
        let sides = [(a, b), (b, a)];
        let both = sides.map(|(addend, stays)| self.side(add, addend, stays, sum));
        both.into_iter().flatten().max_by_key(|b| self.work(b))
    }

    fn work(&self, branch: &Branch) -> u64 {
        branch.nodes.iter().filter_map(|&n| self.macs.get(n)).sum()
    }

    fn side(&self, add: usize, addend: &str, stays: &str, sum: &str) -> Option<Branch> {
        let repeated = self.graph.producer.get(stays);
        if repeated.is_some_and(|n| self.broadcasts.contains(n)) {
            return None;
        }
        let mut nodes = self.only_for(add, addend, stays)?;
        let layers = nodes
            .iter()
            .any(|&n| LinearSpec::of(&self.graph.proto.node[n]).is_some());
        let source = self.source(&nodes)?;
        if !layers || !self.leads_to(stays, &source) {
            return None;
        }
        let groups = self.inside(&nodes);
        nodes.insert(add);
        let sum = self.behind(sum, stays, &mut nodes);
        (!groups.is_empty()).then(|| Branch {
            add,
            addend: addend.to_owned(),
            stays: stays.to_owned(),
            sum,
            nodes,
            groups,
        })
    }

    /// The nodes that serve the addend alone.
    fn only_for(&self, add: usize, addend: &str, stays: &str) -> Option<BTreeSet<usize>> {
        let last = *self.graph.producer.get(addend)?;
        let mut found = BTreeSet::new();
        for index in (0..=last).rev() {
            let node = &self.graph.proto.node[index];
            let alone = |o: &String| {
                let unread = o != stays && !self.seen_outside.contains(o);
                let readers = self.graph.consumers.get(o.as_str());
                let inside = |n: &usize| found.contains(n) || (*n == add && o == addend);
                unread && readers.is_none_or(|r| r.iter().all(inside))
            };
            let read = node
                .output
                .iter()
                .any(|o| self.graph.consumers.contains_key(o.as_str()));
            let made = node.output.iter().filter(|o| !o.is_empty());
            if read && node.op_type() != "Constant" && made.into_iter().all(alone) {
                found.insert(index);
            }
            // All others serve the addend through this one.
            if !found.contains(&last) {
                return None;
            }
        }
        Some(found)
    }

    /// The one value that nodes read besides constants and each other's.
    fn source(&self, nodes: &BTreeSet<usize>) -> Option<String> {
        let mut found: Option<&str> = None;
        for &n in nodes {
            let node = &self.graph.proto.node[n];
            let captured = captured_names(node);
            for name in node.input.iter().chain(&captured).filter(|n| !n.is_empty()) {
                let own = self
                    .graph
                    .producer
                    .get(name.as_str())
                    .is_some_and(|p| nodes.contains(p));
                if own || self.is_constant(name) || found == Some(name.as_str()) {
                    continue;
                }
                if found.is_some() || captured.contains(name) {
                    return None;
                }
                found = self.graph.proto.node[n]
                    .input
                    .iter()
                    .find(|i| *i == name)
                    .map(String::as_str);
            }
        }
        found.map(str::to_owned)
    }

    fn is_constant(&self, name: &str) -> bool {
        self.graph.stored(name).is_some()
    }

    /// Whether a value is the source, or is made of nothing but it by a short chain of nodes.
    fn leads_to(&self, stays: &str, source: &str) -> bool {
        let mut at = stays;
        for _ in 0..SHORTCUT {
            if at == source {
                return true;
            }
            let Some(&producer) = self.graph.producer.get(at) else {
                return false;
            };
            let mut inputs = self.graph.proto.node[producer]
                .input
                .iter()
                .filter(|n| !n.is_empty() && !self.is_constant(n));
            let (Some(one), None) = (inputs.next(), inputs.next()) else {
                return false;
            };
            at = one;
        }
        false
    }

    /// Groups all of whose channels are made and read by these nodes alone.
    fn inside(&self, nodes: &BTreeSet<usize>) -> Vec<usize> {
        let within = |group: &&Group| {
            !group.places.is_empty()
                && group.places.iter().all(|&(id, _)| {
                    let value = self.dependencies.value(id);
                    match value.constant_use {
                        Some(at) => nodes.contains(&at.node),
                        None => self
                            .graph
                            .producer
                            .get(value.name.as_str())
                            .is_some_and(|n| nodes.contains(n)),
                    }
                })
        };
        let last_reader = |group: &&Group| group.consumers.iter().all(|n| nodes.contains(n));
        self.groups
            .iter()
            .filter(within)
            .filter(last_reader)
            .map(|g| g.id)
            .collect()
    }

    /// What stands for the sum once what is nothing to `stays` goes too: a Relu, where that is never negative, and a quantization
    /// of the sum where that comes out of one itself, and what is below its range is below this one's too.
    fn behind(&self, sum: &str, stays: &str, nodes: &mut BTreeSet<usize>) -> String {
        let only_reader = |name: &str| match self.graph.consumers.get(name).map(Vec::as_slice) {
            Some([one]) if !self.seen_outside.contains(name) => Some(*one),
            _ => None,
        };
        let output = |n: usize| self.graph.proto.node[n].output.first().cloned();
        let mut name = sum.to_owned();
        if let Some(relu) = only_reader(&name)
            && self.graph.proto.node[relu].is_standard()
            && self.graph.proto.node[relu].op_type() == "Relu"
            && never_negative(self.graph, stays)
            && let Some(out) = output(relu)
        {
            nodes.insert(relu);
            name = out;
        }
        if let Some(quantize) = only_reader(&name)
            && let Some(quantized) = output(quantize)
            && let Some(dequantize) = only_reader(&quantized)
            && let Some(out) = output(dequantize)
            && self.is_first(quantize, &name)
            && self.is_first(dequantize, &quantized)
            && self.same_range(stays, quantize, dequantize)
        {
            nodes.extend([quantize, dequantize]);
            name = out;
        }
        name
    }

    fn is_first(&self, node: usize, name: &str) -> bool {
        self.graph.proto.node[node].input.first().is_some_and(|i| i == name)
    }

    /// A constant that no caller may replace.
    fn settled(&self, name: &str) -> Option<Tensor> {
        let source = self.graph.producer.get(name);
        let free = self.graph.replaceable.contains(name)
            || source.is_some_and(|&n| self.graph.proto.node[n].op_type() == "Identity");
        self.graph.constant(name).filter(|_| !free)
    }

    /// Whether `stays` is dequantized from the type and the zero point that a sum is quantized to: a quantization that cuts off what is
    /// negative has done so there too.
    fn same_range(&self, stays: &str, quantize: usize, dequantize: usize) -> bool {
        let nodes = &self.graph.proto.node;
        let is =
            |n: usize, op: &str| nodes[n].op_type() == op && Movement::of(&nodes[n]) == Some(Movement::Quantization);
        let Some(&own) = self.graph.producer.get(stays) else {
            return false;
        };
        let zero = |n: usize| self.settled(nodes[n].input.get(2)?);
        let same = |n: usize| zero(n).zip(zero(own)).is_some_and(|(a, b)| a == b);
        is(quantize, "QuantizeLinear")
            && is(dequantize, "DequantizeLinear")
            && is(own, "DequantizeLinear")
            && same(quantize)
            && same(dequantize)
    }
}
