//! Which extents follow from the inputs' extents alone, and which rest on the numbers that values hold.
//!
//! Extents are seen in runs on random inputs. Where a node takes an extent from numbers that a caller may change, such as the length of a
//! crop, runs tell nothing of other callers.

use std::collections::HashSet;

use super::ops::spec_of;
use crate::onnx::proto::NodeProto;
use crate::onnx::{Graph, captured_names};

/// Whether inputs behind the first say what extents an operator with a rule makes.
fn sets_extents(op: &str) -> bool {
    const OPS: [&str; 11] = [
        "Expand",
        "Pad",
        "Reshape",
        "Resize",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "TopK",
        "Unsqueeze",
        "Upsample",
    ];
    OPS.contains(&op) || op.starts_with("Reduce")
}

/// The values of a graph by what their numbers and extents rest on.
#[derive(Debug, Default)]
pub(super) struct HeldNumbers<'g> {
    /// Values whose numbers a caller may change at the same extents of all inputs.
    numbers: HashSet<&'g str>,
    /// Values whose extents rest on such numbers, or may.
    extents: HashSet<&'g str>,
}

impl<'g> HeldNumbers<'g> {
    /// Follows a graph from its inputs on.
    pub fn of(graph: &Graph<'g>) -> Self {
        let inputs = graph.real_inputs().into_iter();
        let mut held = Self {
            numbers: inputs.chain(graph.replaceable.iter().copied()).collect(),
            extents: HashSet::new(),
        };
        for node in &graph.proto.node {
            held.follow(node);
        }
        held
    }

    /// Whether a value's numbers are the same whatever the inputs hold.
    pub fn settle_numbers(&self, name: &str) -> bool {
        !self.numbers.contains(name)
    }

    /// Whether a value's extents are the same whatever the inputs hold.
    pub fn settle_extents(&self, name: &str) -> bool {
        !self.extents.contains(name)
    }

    fn follow(&mut self, node: &'g NodeProto) {
        let captured = captured_names(node);
        let inputs = node.input.iter().chain(&captured).map(String::as_str);
        let extents = inputs.clone().any(|n| self.extents.contains(n));
        let numbers = inputs.clone().any(|n| self.numbers.contains(n));
        let told = inputs.clone().skip(1).any(|n| self.numbers.contains(n));
        let (numbers, extents) = match (node.op_type(), spec_of(node)) {
            ("Shape" | "Size", _) => (extents, false),
            ("Constant", _) => (false, false),
            (op, Some(_)) if sets_extents(op) => (numbers, extents || told),
            (_, Some(_)) => (numbers, extents),
            // Without a rule any input may; without any input numbers may be drawn.
            (_, None) => {
                let drawn = inputs.clone().next().is_none();
                (numbers || drawn, extents || numbers || drawn)
            }
        };
        let made = node.output.iter().map(String::as_str);
        if numbers || extents {
            self.numbers.extend(made.clone());
        }
        if extents {
            self.extents.extend(made);
        }
    }
}
