//! A stage of single places: layers that read places around their own, and what follows at the same place.

use std::collections::HashMap;

use super::depends::{Around, depends};
use super::local::{Local, map_dims};
use super::stage::{Stage, StageAxis, StageMap};
use super::taps::Taps;
use crate::channels::Shapes;
use crate::onnx::Graph;

/// Of so many places one more is computed than change wants: those that were left longest.
const SPARE: usize = 256;

/// Rows of a matrix product that take hardly longer than one.
const ROWS: usize = 4;
/// Rows for which its weights are read once, and how many more are left for another frame rather than read them again.
const TOGETHER: usize = 12;
const FEW_MORE: usize = 3;

/// So many rows, or a few less that read the weights of a matrix product once less.
pub(super) fn rows(wanted: usize) -> usize {
    match wanted % TOGETHER {
        few if few <= FEW_MORE && wanted > TOGETHER => wanted - few,
        _ => wanted,
    }
}

impl Stage {
    /// Nodes as a stage whose tiles are single places; `None` where an operator has no form for rows, or one reads places around its own of what
    /// another makes, and that is not wanted (`runs`).
    pub(super) fn places(
        graph: &Graph,
        shapes: &Shapes,
        nodes: Vec<Local>,
        outputs: Vec<String>,
        frame: &str,
        runs: bool,
    ) -> Option<Self> {
        let [_, rows, columns] = map_dims(shapes, outputs.first()?)?;
        let made = |name: &String| nodes.iter().any(|n| graph.proto.node[n.node].output.contains(name));
        let mut maps = HashMap::new();
        let (mut inputs, mut inner): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        let mut taps: Vec<Taps> = Vec::new();
        for local in &nodes {
            let own = Taps::of(graph, shapes, local)?;
            let within = local.maps.iter().any(&made);
            if own.to != [rows, columns] || within && !own.is_same() && !(runs && own.stays()) {
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
            for name in &local.maps {
                let list = match made(name) {
                    true if own.is_same() => continue,
                    true => &mut inner,
                    false => &mut inputs,
                };
                if !list.contains(name) {
                    list.push(name.clone());
                }
            }
            taps.push(own);
        }
        if inputs.iter().any(|i| i == frame) || rows * columns < 2 {
            return None;
        }
        let depends = depends(graph, &nodes, &taps, &inputs)?;
        let halo = |input: &String| {
            let own = depends.iter().filter(|d| d.input == *input);
            own.fold([(0, 0); 2], |far: Around, d| {
                [0, 1].map(|a| {
                    let (before, behind) = d.spread[a];
                    let stride = d.taps.strides[a];
                    let after = (d.taps.span(a) - 1).saturating_sub(d.taps.before[a]);
                    (
                        far[a].0.max(d.taps.before[a] + before * stride),
                        far[a].1.max(after + behind * stride),
                    )
                })
            })
        };
        let halos = inputs.iter().map(halo).collect();
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
            inner,
            depends,
        })
    }

    /// Whether its tiles are single places.
    pub(super) fn is_of_places(&self) -> bool {
        !self.taps.is_empty()
    }

    /// How far around a place its layers carry what they make of it themselves.
    pub(super) fn spread(&self) -> Around {
        self.depends.iter().fold([(0, 0); 2], |far, d| {
            [0, 1].map(|a| (far[a].0.max(d.spread[a].0), far[a].1.max(d.spread[a].1)))
        })
    }

    /// Tiles that take hardly longer than one.
    pub(super) fn fewest(&self) -> usize {
        match self.is_of_places() {
            true => self.tiles().min(ROWS),
            false => 1,
        }
    }

    /// Tiles that are computed besides those that changed.
    pub(super) fn spare(&self) -> usize {
        match self.is_of_places() {
            true => self.tiles().div_ceil(SPARE),
            false => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn rows_that_would_have_weights_read_again_are_left() {
        let snapped = [1, 12, 13, 15, 16, 23, 24, 27, 28].map(rows);
        assert_eq!(snapped, [1, 12, 12, 12, 16, 23, 24, 24, 28]);
    }
}
