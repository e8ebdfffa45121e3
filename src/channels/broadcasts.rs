//! Broadcasts that are written out: an `Expand` in front of operators that repeat its input themselves.
//!
//! Exporters write attention as `Mul(x, Expand(s, Shape(x)))`, which stores a whole map of repeated numbers. Without the `Expand`, the
//! product repeats `s` while it computes, and makes the same numbers.

use std::collections::{BTreeSet, HashSet};

use super::dependency_graph::{DependencyGraph, ValueId, input_value};
use super::extents::Extents;
use super::ops::{Operands, spec_of};
use super::symbolic_shapes::{Dim, SymbolicShapes};
use crate::onnx::Graph;
use crate::onnx::proto::NodeProto;

/// The nodes that write out a broadcast which every node behind them can do itself, whatever sizes the inputs have.
pub(super) fn written_out(graph: &Graph, dependencies: &DependencyGraph, shape: &SymbolicShapes) -> BTreeSet<usize> {
    let expands = (0..graph.proto.node.len()).filter(|&n| is_expand(&graph.proto.node[n]));
    let mut expands = expands.peekable();
    if expands.peek().is_none() {
        return BTreeSet::new();
    }
    let finder = Finder {
        graph,
        dependencies,
        extents: Extents::new(graph, dependencies, shape),
        seen_outside: graph.seen_outside(),
    };
    expands.filter(|&n| finder.may_go(n).unwrap_or(false)).collect()
}

/// All nodes that go with these broadcasts: also those that nothing but their target shapes was made by.
pub fn gone_with(graph: &Graph, broadcasts: &BTreeSet<usize>) -> BTreeSet<usize> {
    let mut gone = broadcasts.clone();
    if gone.is_empty() {
        return gone;
    }
    let nodes = &graph.proto.node;
    let mut kept: HashSet<&str> = broadcasts
        .iter()
        .filter_map(|&n| Some(nodes[n].input.first()?.as_str()))
        .collect();
    let outside = graph.seen_outside();
    kept.extend(outside.iter().map(String::as_str));
    // Nodes are in order, so that all readers of a node are known when it is looked at.
    for (index, node) in nodes.iter().enumerate().rev() {
        let read_by_gone = |name: &str| match graph.consumers.get(name) {
            Some(readers) => readers.iter().all(|n| gone.contains(n)),
            None => true,
        };
        let has_readers = node.output.iter().any(|o| graph.consumers.contains_key(o.as_str()));
        let unread = |o: &String| !kept.contains(o.as_str()) && read_by_gone(o);
        if has_readers && node.output.iter().all(unread) {
            gone.insert(index);
        }
    }
    gone
}

fn is_expand(node: &NodeProto) -> bool {
    spec_of(node).is_some_and(|s| s.name == "Expand")
}

/// What is known of a graph.
struct Finder<'g> {
    graph: &'g Graph<'g>,
    dependencies: &'g DependencyGraph,
    extents: Extents<'g>,
    seen_outside: HashSet<String>,
}

/// A broadcast: input, output, and the elements of the target shape, `None` where that is not followed.
struct Broadcast {
    input: ValueId,
    output: ValueId,
    target: Option<Vec<Dim>>,
}

impl Finder<'_> {
    /// Whether a node is a broadcast that all its readers can do; `None` where too little is known.
    fn may_go(&self, index: usize) -> Option<bool> {
        let node = &self.graph.proto.node[index];
        let name = node.output.first()?;
        if self.seen_outside.contains(name) {
            return None;
        }
        let (input, output) = (
            input_value(self.dependencies, node, index, 0)?,
            self.dependencies.by_name(name)?,
        );
        let (before, after) = (self.extents.rank(input)?, self.extents.rank(output)?);
        let target = self.target(node.input.get(1)?, input, output);
        let broadcast = Broadcast { input, output, target };
        let readers = self.graph.consumers.get(name.as_str())?;
        let does = |&reader: &usize| {
            let node = &self.graph.proto.node[reader];
            let others = self.others(node, reader);
            let as_long = before == after || others.iter().any(|&o| self.extents.rank(o) >= Some(after));
            let repeats = spec_of(node).is_some_and(|s| s.operands == Operands::Broadcast);
            repeats && as_long && (0..after).all(|axis| self.is_met(&broadcast, axis, &others))
        };
        Some(readers.iter().all(does))
    }

    /// The inputs of a node that no broadcast makes: two of them that both go would leave nothing to repeat along.
    fn others(&self, node: &NodeProto, index: usize) -> Vec<ValueId> {
        let expanded = |name: &String| {
            let producer = self.graph.producer.get(name.as_str());
            producer.is_some_and(|&n| is_expand(&self.graph.proto.node[n]))
        };
        let inputs = node.input.iter().enumerate().filter(|(_, name)| !expanded(name));
        inputs
            .filter_map(|(i, _)| input_value(self.dependencies, node, index, i))
            .filter(|&id| self.extents.rank(id).is_some())
            .collect()
    }

    /// Whether a reader's result has the same extent without the broadcast, on one axis, counted from the last: nothing is repeated
    /// there, or another input is as long.
    fn is_met(&self, broadcast: &Broadcast, axis: usize, others: &[ValueId]) -> bool {
        let whole = self.extents.fixed(broadcast.output, axis);
        let target = broadcast.target.as_ref();
        let target = target.map(|t| t.iter().rev().nth(axis).copied().unwrap_or(Dim::Fixed(1)));
        let meets = |&id: &ValueId| {
            let same = whole.is_some() && self.extents.fixed(id, axis) == whole;
            same || matches!(target, Some(Dim::Of(of, at)) if self.extents.is_as_long(id, axis, (of, at)))
        };
        target == Some(Dim::Fixed(1)) || meets(&broadcast.input) || others.iter().any(meets)
    }

    /// The elements of a target shape, where all of them are followed and are what was seen.
    fn target(&self, name: &str, input: ValueId, output: ValueId) -> Option<Vec<Dim>> {
        let target = self.extents.told(name)?;
        let (before, after) = (self.extents.rank(input)?, self.extents.rank(output)?);
        let dims = self.dependencies.dims(output).iter().rev();
        let seen = |(&dim, &extent): (&Dim, &usize)| self.extents.seen(dim).is_some_and(|n| n == 1 || n == extent);
        let fits = before.max(target.len()) == after && target.iter().rev().zip(dims).all(seen);
        Some(target).filter(|_| fits)
    }
}
