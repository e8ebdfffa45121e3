//! What a place of a stage of single places depends on.

use std::collections::HashMap;

use super::local::Local;
use super::taps::Taps;
use crate::onnx::Graph;

/// Places before and behind, by axis.
pub(super) type Around = [(usize, usize); 2];

/// An input of a stage of single places, as it is read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Depends {
    /// The map.
    pub input: String,
    /// What the layer that reads it reads.
    pub taps: Taps,
    /// How far around a place other layers of the stage carry that.
    pub spread: Around,
}

impl Depends {
    /// The places along an axis that an output place depends on: from, and up to.
    pub(super) fn range(&self, axis: usize, o: usize) -> (usize, usize) {
        let (taps, (before, behind)) = (&self.taps, self.spread[axis]);
        let at = |o: usize| o / taps.up[axis] * taps.strides[axis];
        let end = (at(o + behind) + taps.span(axis)).saturating_sub(taps.before[axis]);
        let padding = taps.before[axis] + before.saturating_sub(o) * taps.strides[axis];
        (at(o.saturating_sub(before)).saturating_sub(padding), end)
    }
}

/// What the places of a stage depend on.
pub(super) fn depends(graph: &Graph, nodes: &[Local], taps: &[Taps], inputs: &[String]) -> Option<Vec<Depends>> {
    let mut around: HashMap<&str, Around> = HashMap::new();
    let mut all: Vec<Depends> = Vec::new();
    for (local, own) in nodes.iter().zip(taps).rev() {
        let made = graph.proto.node.get(local.node)?.output.iter();
        let wanted = made.filter_map(|o| around.get(o.as_str())).copied();
        let spread = wanted.fold([(0, 0); 2], wider);
        for name in &local.maps {
            if inputs.contains(name) {
                match all.iter_mut().find(|d| d.input == *name && d.taps == *own) {
                    Some(known) => known.spread = wider(known.spread, spread),
                    None => all.push(Depends {
                        input: name.clone(),
                        taps: *own,
                        spread,
                    }),
                }
            } else {
                let behind = |a: usize| own.span(a) - 1 - own.before[a];
                let far = [0, 1].map(|a| (spread[a].0 + own.before[a], spread[a].1 + behind(a)));
                let known = around.entry(name).or_default();
                *known = wider(*known, far);
            }
        }
    }
    Some(all)
}

fn wider(a: Around, b: Around) -> Around {
    [0, 1].map(|k| (a[k].0.max(b[k].0), a[k].1.max(b[k].1)))
}
