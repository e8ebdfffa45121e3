//! Broadcasts that are written out: an `Expand` in front of operators that repeat its input themselves.
//!
//! Exporters write attention as `Mul(x, Expand(s, Shape(x)))`, which stores a whole map of repeated numbers. Without the `Expand`, the
//! product repeats `s` while it computes, and makes the same numbers.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::dependency_graph::{DependencyGraph, ValueId, input_value};
use super::held_numbers::HeldNumbers;
use super::ops::{Operands, Reach, spec_of};
use super::symbolic_shapes::{Dim, SymbolicShapes};
use crate::onnx::proto::NodeProto;
use crate::onnx::{Graph, captured_names};

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
        shape,
        held: HeldNumbers::of(graph),
        alike: alike(graph),
        seen_outside: seen_outside(graph),
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
    let mut kept: HashSet<&str> = broadcasts.iter().filter_map(|&n| Some(nodes[n].input.first()?.as_str())).collect();
    let outside = seen_outside(graph);
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

/// Names that are graph outputs or are read inside of bodies.
fn seen_outside(graph: &Graph) -> HashSet<String> {
    let captured = graph.proto.node.iter().flat_map(captured_names);
    captured
        .chain(graph.proto.output.iter().map(|o| o.name().to_owned()))
        .collect()
}

/// For values that operators on single elements made: the first value in front with the same extents.
fn alike<'g>(graph: &Graph<'g>) -> HashMap<&'g str, &'g str> {
    let mut found: HashMap<&str, &str> = HashMap::new();
    let scalar = |name: &str| {
        !graph.replaceable.contains(name) && graph.constant(name).is_some_and(|tensor| tensor.dims.is_empty())
    };
    for node in &graph.proto.node {
        let (Some(spec), Some(made)) = (spec_of(node), node.output.first()) else {
            continue;
        };
        let first = |name: &'g String| found.get(name.as_str()).copied().unwrap_or(name);
        let source = match (spec.reach, spec.operands) {
            (Reach::Own, _) => node.input.first().map(first),
            (_, Operands::Broadcast) => {
                let mut sources = node.input.iter().filter(|n| !scalar(n)).map(first);
                sources.next().filter(|one| sources.all(|other| other == *one))
            }
            _ => None,
        };
        if let Some(source) = source {
            found.insert(made, source);
        }
    }
    found
}

/// What is known of a graph's extents.
struct Finder<'g> {
    graph: &'g Graph<'g>,
    dependencies: &'g DependencyGraph,
    shape: &'g SymbolicShapes,
    held: HeldNumbers<'g>,
    alike: HashMap<&'g str, &'g str>,
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
        let (before, after) = (self.rank(input)?, self.rank(output)?);
        let target = self.target(node.input.get(1)?, input, output);
        let broadcast = Broadcast {
            input,
            output,
            target,
        };
        let readers = self.graph.consumers.get(name.as_str())?;
        let does = |&reader: &usize| {
            let node = &self.graph.proto.node[reader];
            let others = self.others(node, reader);
            let as_long = before == after || others.iter().any(|&o| self.rank(o) >= Some(after));
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
            .filter(|&id| self.rank(id).is_some())
            .collect()
    }

    /// Whether a reader's result has the same extent without the broadcast, on one axis, counted from the last.
    fn is_met(&self, broadcast: &Broadcast, axis: usize, others: &[ValueId]) -> bool {
        let whole = self.extent(broadcast.output, axis);
        let meets = |id: ValueId, target: Option<Dim>| {
            let same = whole.is_some() && self.extent(id, axis) == whole;
            same || matches!(target, Some(Dim::Of(of, at)) if self.is_axis((of, at), id, axis))
        };
        let target = broadcast.target.as_ref();
        let target = target.map(|t| t.iter().rev().nth(axis).copied().unwrap_or(Dim::Fixed(1)));
        target == Some(Dim::Fixed(1)) || meets(broadcast.input, target) || others.iter().any(|&o| meets(o, target))
    }

    /// The extent of a value for all inputs, on an axis counted from the last; 1 beyond the first axis.
    fn extent(&self, id: ValueId, axis: usize) -> Option<usize> {
        let Some(at) = self.rank(id)?.checked_sub(axis + 1) else {
            return Some(1);
        };
        let value = self.dependencies.value(id);
        let told = !value.dynamic.contains(&at) && self.held.settle_extents(&value.name);
        self.dependencies.dims(id).get(at).copied().filter(|_| told)
    }

    /// Whether an axis, counted from the first, has the extent of an axis of `id`, counted from the last, whatever that is.
    fn is_axis(&self, (of, at): (ValueId, usize), id: ValueId, axis: usize) -> bool {
        let first = |id: ValueId| {
            let name = self.dependencies.value(id).name.as_str();
            self.alike.get(name).copied().unwrap_or(name)
        };
        self.rank(id) == self.rank(of) && self.rank(id) == Some(at + axis + 1) && first(of) == first(id)
    }

    fn rank(&self, id: ValueId) -> Option<usize> {
        self.dependencies.value(id).dims.as_ref().map(Vec::len)
    }

    /// The elements of a target shape, where all of them are followed, no caller may change them, and they are what was seen.
    fn target(&self, name: &str, input: ValueId, output: ValueId) -> Option<Vec<Dim>> {
        let target = self.shape.get(self.graph, name)?;
        let (before, after) = (self.rank(input)?, self.rank(output)?);
        let dims = self.dependencies.dims(output);
        let number = |dim: &Dim| match *dim {
            Dim::Fixed(v) | Dim::Derived(v, ..) => usize::try_from(v).ok(),
            Dim::Of(id, axis) => self.dependencies.dims(id).get(axis).copied(),
            Dim::Computed => None,
        };
        let seen = |(dim, &extent): (&Dim, &usize)| number(dim).is_some_and(|n| n == 1 || n == extent);
        let fits = before.max(target.len()) == after && target.iter().rev().zip(dims.iter().rev()).all(seen);
        Some(target).filter(|_| fits && self.held.settle_numbers(name))
    }
}
