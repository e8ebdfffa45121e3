//! What layers around a residual branch that went should make: what is left stands for the sum that was.

use std::collections::{HashMap, HashSet};

use super::change::Change;
use crate::channels::Branch;
use crate::onnx::Graph;
use crate::onnx::proto::NodeProto;
use crate::ops::Movement;

/// Which values of a rewritten graph stand for others of the original, because the branches between them went.
#[derive(Debug, Default)]
pub(super) struct Gone<'a> {
    branches: Vec<&'a Branch>,
    stand_for: HashMap<&'a str, &'a str>,
}

impl<'a> Gone<'a> {
    /// What the branches of a change leave; what stays stands for their sums only where layers `in_front` make up for them. What else but a
    /// branch reads wants its value as it was.
    pub fn new(change: Change<'a>, in_front: bool) -> Self {
        let graph = change.graph;
        let branches: Vec<&Branch> = change.analysis.branches_at(change.branches).collect();
        let serves_alone = |b: &&&'a Branch| {
            let readers = graph.consumers.get(b.stays.as_str());
            readers.is_some_and(|r| r.iter().all(|n| b.nodes.contains(n))) && !graph.is_seen_outside(&b.stays)
        };
        let stand_for = branches
            .iter()
            .filter(|b| in_front && serves_alone(b))
            .map(|b| (b.stays.as_str(), b.sum.as_str()))
            .collect();
        Self { branches, stand_for }
    }

    /// Whether all branches are there.
    pub fn is_empty(&self) -> bool {
        self.branches.is_empty()
    }

    /// Values of the original that others stand for now, whatever these are fitted to.
    pub fn sums(&self) -> HashSet<&'a str> {
        self.branches.iter().map(|b| b.sum.as_str()).collect()
    }

    /// What a value stands for; `None` where for nothing but itself.
    fn of(&self, name: &str) -> Option<&'a str> {
        let mut found = *self.stand_for.get(name)?;
        while let Some(next) = self.stand_for.get(found) {
            found = next;
        }
        Some(found)
    }

    /// What a value of `pruned` should be, as a value of the original: what it stands for, or where an activation or a quantization makes of it
    /// what stands for a sum, what those made that sum of. `None` where it stands for itself.
    pub fn aim(&self, graph: &Graph<'a>, pruned: &Graph, value: &str) -> Option<&'a str> {
        let mut passed: Vec<String> = Vec::new();
        let mut at = value.to_owned();
        loop {
            if let Some(found) = self.of(&at) {
                return Some(before(graph, found, &passed));
            }
            let [reader] = pruned.consumers.get(at.as_str())?.as_slice() else {
                return None;
            };
            let node = pruned.proto.node.get(*reader)?;
            if pruned.is_seen_outside(&at) || !passes(node) || node.input.first() != Some(&at) {
                return None;
            }
            passed.push(node.op_type().to_owned());
            at.clone_from(node.output.first()?);
        }
    }
}

/// Whether a node makes of each element of its first input what a layer before can make up for.
fn passes(node: &NodeProto) -> bool {
    Movement::of(node) == Some(Movement::Quantization) || matches!(node.op_type(), "Relu" | "Clip")
}

/// The value that operators like those passed, the last first, make another of; as far back as they are alike.
fn before<'a>(graph: &Graph<'a>, sum: &'a str, passed: &[String]) -> &'a str {
    let mut at = sum;
    for op in passed.iter().rev() {
        let producer = graph.producer.get(at).and_then(|&n| graph.proto.node.get(n));
        match producer.filter(|n| n.op_type() == op).and_then(|n| n.input.first()) {
            Some(input) => at = input,
            None => break,
        }
    }
    at
}
