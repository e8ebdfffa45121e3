//! A stage of single places: one layer that reads places around its own, and what follows at the same place.

use std::collections::HashMap;

use super::local::{Local, map_dims};
use super::stage::{Stage, StageAxis, StageMap};
use super::taps::Taps;
use crate::channels::Shapes;
use crate::onnx::Graph;

/// Runs after which every place was computed anew in its turn.
const TURNS: usize = 256;

impl Stage {
    /// Nodes as a stage whose tiles are single places; `None` where one reads places around its own of what another makes, or an
    /// operator has no form for rows.
    pub(super) fn places(
        graph: &Graph,
        shapes: &Shapes,
        nodes: Vec<Local>,
        outputs: Vec<String>,
        frame: &str,
    ) -> Option<Self> {
        let [_, rows, columns] = map_dims(shapes, outputs.first()?)?;
        let made = |name: &String| nodes.iter().any(|n| graph.proto.node[n.node].output.contains(name));
        let mut maps = HashMap::new();
        let (mut inputs, mut taps): (Vec<String>, Vec<Taps>) = (Vec::new(), Vec::new());
        let mut reach: HashMap<&str, [(usize, usize); 2]> = HashMap::new();
        for local in &nodes {
            let own = Taps::of(graph, shapes, local)?;
            if own.to != [rows, columns] || !own.is_same() && local.maps.iter().any(&made) {
                return None;
            }
            let node = graph.proto.node.get(local.node)?;
            for name in local.maps.iter().chain(node.output.iter().filter(|o| !o.is_empty())) {
                let map = StageMap {
                    dims: map_dims(shapes, name)?,
                    scale: [1; 2],
                    window: [1; 2],
                };
                maps.insert(name.clone(), map);
            }
            for name in local.maps.iter().filter(|m| !made(m)) {
                if !inputs.contains(name) {
                    inputs.push(name.clone());
                }
                let far = reach.entry(name).or_default();
                for (axis, far) in far.iter_mut().enumerate() {
                    let behind = (own.span(axis) - 1).saturating_sub(own.before[axis]);
                    *far = (far.0.max(own.before[axis]), far.1.max(behind));
                }
            }
            taps.push(own);
        }
        if inputs.iter().any(|i| i == frame) || rows * columns < 2 {
            return None;
        }
        let halos = inputs
            .iter()
            .map(|name| reach.get(name.as_str()).copied().unwrap_or_default())
            .collect();
        let axis = |n: usize| StageAxis {
            step: 1,
            starts: (0..n).collect(),
        };
        Some(Self {
            nodes,
            inputs,
            outputs,
            maps,
            axes: [axis(rows), axis(columns)],
            halos,
            taps,
        })
    }

    /// Whether its tiles are single places.
    pub(super) fn is_of_places(&self) -> bool {
        !self.taps.is_empty()
    }

    /// Tiles, beside each other, whose turn it is at a time.
    pub(super) fn refreshed(&self) -> usize {
        match self.is_of_places() {
            true => self.tiles().div_ceil(TURNS),
            false => 1,
        }
    }
}
