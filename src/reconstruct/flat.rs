//! Where activations are flat: on that side of an edge one input is as good as another.

use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph};

/// Inputs up to `low`, and those from `high` on, all give what these edges give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Flat {
    pub low: f32,
    pub high: f32,
}

impl Flat {
    /// Nowhere flat.
    const NOWHERE: Self = Self {
        low: f32::NEG_INFINITY,
        high: f32::INFINITY,
    };

    /// Where the only thing that any node makes of a value is flat; `None` where it is not, or the graph gives the value out.
    pub fn behind(graph: &Graph, value: &str) -> Option<Self> {
        if graph.is_seen_outside(value) {
            return None;
        }
        let mut all: Option<Self> = None;
        for &at in graph.consumers.get(value)? {
            let node = graph.proto.node.get(at)?;
            let own = Self::of(graph, node).filter(|_| node.input.first().is_some_and(|n| n == value))?;
            all = Some(all.map_or(own, |a| Self {
                low: a.low.min(own.low),
                high: a.high.max(own.high),
            }));
        }
        all.filter(|f| *f != Self::NOWHERE)
    }

    /// Where an activation is flat.
    fn of(graph: &Graph, node: &NodeProto) -> Option<Self> {
        if !node.is_standard() {
            return None;
        }
        Some(match node.op_type() {
            "Relu" => Self {
                low: 0.0,
                ..Self::NOWHERE
            },
            "HardSwish" => Self {
                low: -3.0,
                ..Self::NOWHERE
            },
            "Clip" => Self {
                low: bound(graph, node, "min", 1, Self::NOWHERE.low)?,
                high: bound(graph, node, "max", 2, Self::NOWHERE.high)?,
            },
            _ => return None,
        })
    }
}

/// A bound of `Clip`: an attribute before opset 11, an input from then on; `None` where it is computed.
fn bound(graph: &Graph, node: &NodeProto, attribute: &str, input: usize, none: f32) -> Option<f32> {
    if let Some(value) = node.attr(attribute).and_then(|a| a.f) {
        return Some(value);
    }
    match node.input.get(input).filter(|n| !n.is_empty()) {
        None => Some(none),
        Some(name) => graph.stored(name)?.to_f32()?.first().copied(),
    }
}
