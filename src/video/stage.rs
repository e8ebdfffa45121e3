//! A stage: nodes that run on windows of their input maps, cut so that every tile of their output maps comes out as in the whole.

use std::collections::HashMap;

use super::depends::Depends;
use super::local::{Local, map_dims};
use super::scale::scales;
use super::taps::Taps;
use crate::channels::Shapes;
use crate::onnx::Graph;

/// A map that a stage reads, makes or holds inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StageMap {
    /// Channels, rows and columns.
    pub dims: [usize; 3],
    /// Rows and columns that one unit of the stage stands for.
    pub scale: [usize; 2],
    /// Rows and columns of a window.
    pub window: [usize; 2],
}

/// How one axis of a stage is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StageAxis {
    /// Units from one tile to the next.
    pub step: usize,
    /// Where the window of each tile begins, in units.
    pub starts: Vec<usize>,
}

/// Nodes that are computed by tiles.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    /// The nodes, in order.
    pub nodes: Vec<Local>,
    /// The maps that it reads.
    pub inputs: Vec<String>,
    /// The maps that others read.
    pub outputs: Vec<String>,
    /// All maps.
    pub maps: HashMap<String, StageMap>,
    /// Rows and columns.
    pub axes: [StageAxis; 2],
    /// Of every input map the places before and behind a tile that it depends on, by axis.
    pub halos: Vec<[(usize, usize); 2]>,
    /// Of a stage of single places, what each node reads; otherwise empty.
    pub taps: Vec<Taps>,
    /// Of a stage of single places, those of its own maps that are read around a place, and kept for that.
    pub inner: Vec<String>,
    /// Of a stage of single places, what each place depends on.
    pub depends: Vec<Depends>,
}

impl Stage {
    /// Nodes as a stage whose tiles are about `tile` rows and columns of its first output; `None` where places do not line up, or
    /// windows are no smaller than the map.
    pub(super) fn new(
        graph: &Graph,
        shapes: &Shapes,
        nodes: Vec<Local>,
        outputs: Vec<String>,
        tile: [usize; 2],
    ) -> Option<Self> {
        let scale = scales(graph, &nodes)?;
        let mut maps = HashMap::new();
        for (name, scale) in &scale {
            let dims = map_dims(shapes, name)?;
            maps.insert(
                name.clone(),
                StageMap {
                    dims,
                    scale: *scale,
                    window: [dims[1], dims[2]],
                },
            );
        }
        let made = |name: &String| nodes.iter().any(|n| graph.proto.node[n.node].output.contains(name));
        let mut inputs: Vec<String> = Vec::new();
        for name in nodes.iter().flat_map(|n| &n.maps) {
            if !made(name) && !inputs.contains(name) {
                inputs.push(name.clone());
            }
        }
        let first = maps.get(outputs.first()?)?.scale;
        let mut stage = Self {
            nodes,
            inputs,
            outputs,
            maps,
            axes: Default::default(),
            halos: Vec::new(),
            taps: Vec::new(),
            inner: Vec::new(),
            depends: Vec::new(),
        };
        let mut halos = [Vec::new(), Vec::new()];
        for axis in 0..2 {
            let step = (tile[axis] / first[axis]).max(1);
            let (cut, halo) = stage.cut(graph, axis, step)?;
            for map in stage.maps.values_mut() {
                let last = cut.starts.last().copied().unwrap_or(0) * map.scale[axis];
                map.window[axis] = map.dims[axis + 1].checked_sub(last).filter(|&n| n > 0)?;
            }
            stage.axes[axis] = cut;
            halos[axis] = halo;
        }
        let [rows, columns] = halos;
        stage.halos = rows.into_iter().zip(columns).map(|(r, c)| [r, c]).collect();
        (stage.tiles() > 1).then_some(stage)
    }

    /// Whether a map is one that its nodes put back into what was kept.
    pub(super) fn makes(&self, name: &String) -> bool {
        self.outputs.contains(name) || self.inner.contains(name)
    }

    /// Tiles in all.
    pub(super) fn tiles(&self) -> usize {
        self.axes.iter().map(|a| a.starts.len()).product()
    }

    /// Where a tile of an output begins, and how long it is.
    pub(super) fn core(&self, map: &StageMap, axis: usize, tile: usize) -> (usize, usize) {
        core(map, axis, self.axes[axis].step, tile)
    }

    /// The places of every input that output places `of` (by map) depend on; ends of maps count where `clipped`.
    fn needs(
        &self,
        graph: &Graph,
        axis: usize,
        of: HashMap<&str, (i64, i64)>,
        clipped: bool,
    ) -> HashMap<String, (i64, i64)> {
        let mut all: HashMap<String, (i64, i64)> = of.into_iter().map(|(n, r)| (n.to_owned(), r)).collect();
        for local in self.nodes.iter().rev() {
            let made = graph.proto.node[local.node]
                .output
                .iter()
                .filter_map(|o| all.get(o).copied());
            let Some(wanted) = made.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else {
                continue;
            };
            let mut read = local.reach[axis].needs(wanted);
            for name in &local.maps {
                if let Some(map) = self.maps.get(name).filter(|_| clipped) {
                    let end = map.dims[axis + 1] as i64 - 1;
                    read = (read.0.clamp(0, end), read.1.clamp(0, end));
                }
                let entry = all.entry(name.clone()).or_insert(read);
                *entry = (entry.0.min(read.0), entry.1.max(read.1));
            }
        }
        all
    }

    /// The smallest windows that hold what every tile depends on, and how far beyond a tile that reaches in each input.
    fn cut(&self, graph: &Graph, axis: usize, step: usize) -> Option<(StageAxis, Vec<(usize, usize)>)> {
        let outputs: Vec<(&str, &StageMap)> = self
            .outputs
            .iter()
            .filter_map(|o| Some((o.as_str(), self.maps.get(o)?)))
            .collect();
        let units = outputs
            .iter()
            .map(|(_, m)| m.dims[axis + 1].div_ceil(m.scale[axis]))
            .max()?;
        let count = units.div_ceil(step);
        let range = |m: &StageMap, tile: usize| {
            let (start, size) = core(m, axis, step, tile);
            (start as i64, (start + size) as i64 - 1)
        };
        let tiles: Vec<HashMap<String, (i64, i64)>> = (0..count)
            .map(|t| {
                self.needs(
                    graph,
                    axis,
                    outputs.iter().map(|(n, m)| (*n, range(m, t))).collect(),
                    true,
                )
            })
            .collect();
        // As far right as windows may begin: then they are smallest. The one that reaches furthest says where.
        let furthest = tiles.last()?.iter().map(|(name, (low, _))| {
            let map = self.maps.get(name)?;
            Some(usize::try_from(*low).ok()? / map.scale[axis])
        });
        let furthest = furthest.collect::<Option<Vec<_>>>()?.into_iter().min()?;
        let starts = (0..=furthest).rev().find_map(|last| {
            let fits = |needs: &HashMap<String, (i64, i64)>| {
                let mut at = last;
                for (name, (low, _)) in needs {
                    at = at.min(usize::try_from(*low).ok()? / self.maps.get(name)?.scale[axis]);
                }
                for (name, (_, high)) in needs {
                    let map = self.maps.get(name)?;
                    let left = map.dims[axis + 1].checked_sub(usize::try_from(*high).ok()? + 1)?;
                    if (last - at) * map.scale[axis] > left || last * map.scale[axis] >= map.dims[axis + 1] {
                        return None;
                    }
                }
                Some(at)
            };
            let starts: Vec<usize> = tiles.iter().map(fits).collect::<Option<_>>()?;
            // Windows are as long as what is behind the last start.
            (starts.last() == Some(&last)).then_some(starts)
        });
        let cut = StageAxis { step, starts: starts? };
        let far = 1 << 20;
        let shifted = |m: &StageMap| {
            let start = (far * step * m.scale[axis]) as i64;
            (start, start + (step * m.scale[axis]) as i64 - 1)
        };
        let open = self.needs(
            graph,
            axis,
            outputs.iter().map(|(n, m)| (*n, shifted(m))).collect(),
            false,
        );
        let halo = |name: &String| {
            let (start, end) = shifted(self.maps.get(name)?);
            let (low, high) = open.get(name)?;
            Some(((start - low).max(0) as usize, (high - end).max(0) as usize))
        };
        let halos = self.inputs.iter().map(halo).collect::<Option<Vec<_>>>()?;
        Some((cut, halos))
    }
}

fn core(map: &StageMap, axis: usize, step: usize, tile: usize) -> (usize, usize) {
    let dim = map.dims[axis + 1];
    let size = (step * map.scale[axis]).min(dim);
    ((tile * step * map.scale[axis]).min(dim - size), size)
}
