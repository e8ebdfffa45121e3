//! The nodes of a model against the limits of the device, as the page shows them.

use crate::device::NodeClock;
use crate::profile::Roofline;
use crate::report::roofline::{NodeRow, limits, totals};

/// The table of all nodes.
pub(super) struct Nodes<'a> {
    pub totals: String,
    pub limits: String,
    pub on_device: bool,
    pub rows: Vec<Node<'a>>,
}

/// A node.
pub(super) struct Node<'a> {
    pub name: &'a str,
    pub op: &'a str,
    pub row: NodeRow,
}

impl<'a> Nodes<'a> {
    pub(super) fn of(roofline: &'a Roofline) -> Self {
        let rows = roofline.nodes.iter().map(|node| Node {
            name: node.label(),
            op: &node.op,
            row: NodeRow::of(node),
        });
        Self {
            totals: totals(roofline),
            limits: limits(roofline),
            on_device: roofline.clock == NodeClock::Device,
            rows: rows.collect(),
        }
    }
}
