//! What a model's video files are made of: its frame, its stages, and what is kept between frames.

use std::collections::HashMap;

use super::need::needed;
use super::places::rows;
use super::stage::Stage;
use crate::channels::Shapes;
use crate::onnx::Graph;
use crate::onnx::proto::NodeProto;

/// A model cut into stages.
#[derive(Clone, Debug)]
pub struct VideoPlan {
    /// The input with the frame.
    pub(super) frame: String,
    /// Its channels, rows and columns.
    pub(super) frame_dims: [usize; 3],
    /// The stages, front to back.
    pub(super) stages: Vec<Stage>,
    /// Maps that are kept from one frame to the next: those that stages make, and those that other nodes make for stages.
    pub(super) kept: Vec<String>,
    /// Rows and columns of the cells of a frame that are replaced together.
    pub(super) cell: [usize; 2],
    /// Nodes and stages in the order in which they run.
    pub(super) order: Vec<Unit>,
}

/// What runs as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Unit {
    /// A stage.
    Stage(usize),
    /// A node on whole maps.
    Node(usize),
}

/// Cells of a frame are no larger.
const LARGEST_CELL: usize = 2;

impl VideoPlan {
    /// Stages as a plan; `None` where one would have to run before and behind another, or none reads the frame.
    pub(super) fn new(graph: &Graph, shapes: &Shapes, frame: &str, stages: Vec<Stage>) -> Option<Self> {
        let frame_dims = super::local::map_dims(shapes, frame)?;
        let mut kept: Vec<String> = Vec::new();
        for name in stages
            .iter()
            .flat_map(|s| s.outputs.iter().chain(&s.inputs).chain(&s.inner))
        {
            if name != frame && !kept.contains(name) {
                kept.push(name.clone());
            }
        }
        let mut cell = [1, 1];
        let mut reads = stages.iter().filter(|s| s.inputs.iter().any(|i| i == frame)).peekable();
        reads.peek()?;
        let steps: Vec<[usize; 2]> = reads.map(|s| frame_steps(s, frame)).collect::<Option<_>>()?;
        for axis in 0..2 {
            let divides =
                |n: &usize| frame_dims[axis + 1].is_multiple_of(*n) && steps.iter().all(|s| s[axis].is_multiple_of(*n));
            cell[axis] = (1..=LARGEST_CELL).rev().find(divides)?;
        }
        let order = order(graph, &stages)?;
        Some(Self {
            frame: frame.to_owned(),
            frame_dims,
            stages,
            kept,
            cell,
            order,
        })
    }

    /// Tiles of each stage that a run computes which is to hold changes of such a share of the frame.
    pub fn computed(&self, share: f64) -> Vec<usize> {
        let [_, height, width] = self.frame_dims;
        let stages = self.stages.iter();
        stages.map(|s| needed(s, [height, width], share)).collect()
    }

    /// Tiles of each stage, how many are computed besides those that changed, and how many at least.
    pub fn tiles(&self) -> Vec<(usize, usize, usize)> {
        self.stages.iter().map(|s| (s.tiles(), s.spare(), s.fewest())).collect()
    }

    /// So many tiles of a stage, or a few less that would take as long as many more.
    pub fn rows(&self, stage: usize, wanted: usize) -> usize {
        match self.stages.get(stage) {
            Some(stage) if stage.is_of_places() => rows(wanted),
            _ => wanted,
        }
    }

    /// Whether the layers of a stage read around a place what others of it made: then what is left of a frame is only made up for in time.
    pub fn is_run(&self, stage: usize) -> bool {
        self.stages.get(stage).is_some_and(|s| !s.inner.is_empty())
    }

    /// The share of the tiles of each stage as shares of the places of its outputs.
    pub fn shares(&self, computed: &[usize]) -> HashMap<String, f64> {
        let all = self.stages.iter().zip(computed);
        let each = all.flat_map(|(s, k)| {
            let share = *k as f64 / s.tiles().max(1) as f64;
            s.outputs.iter().map(move |o| (o.clone(), share))
        });
        each.collect()
    }

    /// The place of the first stage that reads the frame.
    pub fn first_index(&self) -> Option<usize> {
        self.stages.iter().position(|s| s.inputs.contains(&self.frame))
    }

    /// The kept maps.
    pub fn kept(&self) -> &[String] {
        &self.kept
    }

    /// Name, tiles, nodes, rows and columns of a tile, and of a window over them, of each stage.
    pub fn described(&self) -> Vec<(String, usize, usize, [usize; 2], f64)> {
        let one = |s: &Stage| {
            let name = s.outputs.first()?;
            let map = s.maps.get(name)?;
            let tile = [0, 1].map(|a| s.axes[a].step * map.scale[a]);
            let windows = (map.window[0] * map.window[1] * s.tiles()) as f64;
            let over = windows / (map.dims[1] * map.dims[2]) as f64;
            Some((name.clone(), s.tiles(), s.nodes.len(), tile, over))
        };
        self.stages.iter().filter_map(one).collect()
    }

    /// The first stage that reads the frame.
    pub(super) fn first(&self) -> Option<&Stage> {
        self.stages.iter().find(|s| s.inputs.contains(&self.frame))
    }
}

/// Rows and columns of the frame from one tile of a stage to the next.
pub(super) fn frame_steps(stage: &Stage, frame: &str) -> Option<[usize; 2]> {
    let map = stage.maps.get(frame)?;
    Some([0, 1].map(|a| stage.axes[a].step * map.scale[a]))
}

/// The order in which everything runs; `None` where there is none.
fn order(graph: &Graph, stages: &[Stage]) -> Option<Vec<Unit>> {
    let mut unit: Vec<Unit> = (0..graph.proto.node.len()).map(Unit::Node).collect();
    for (s, stage) in stages.iter().enumerate() {
        for local in &stage.nodes {
            *unit.get_mut(local.node)? = Unit::Stage(s);
        }
    }
    let nodes_of = |u: Unit| match u {
        Unit::Node(n) => vec![n],
        Unit::Stage(s) => stages[s].nodes.iter().map(|l| l.node).collect(),
    };
    // Whether a unit is done; one that is begun and not done is waited for.
    let mut done: HashMap<Unit, bool> = HashMap::new();
    let mut order = Vec::new();
    for &start in &unit {
        let mut waiting = vec![start];
        while let Some(&now) = waiting.last() {
            if done.get(&now) == Some(&true) {
                waiting.pop();
                continue;
            }
            let begun = done.insert(now, false).is_some();
            let own = nodes_of(now);
            // What a `Resize` of a stage reads besides its map is replaced.
            let before = own.iter().flat_map(|&n| match now {
                Unit::Stage(_) if matches!(graph.proto.node[n].op_type(), "Resize") => {
                    graph.proto.node[n].input.first().cloned().into_iter().collect()
                }
                _ => reads(&graph.proto.node[n]),
            });
            let before = before.filter_map(|name| graph.producer.get(name.as_str()).map(|&p| unit[p]));
            let open: Vec<Unit> = before.filter(|u| *u != now && done.get(u) != Some(&true)).collect();
            if open.is_empty() {
                done.insert(now, true);
                order.push(now);
                waiting.pop();
            } else if begun || open.iter().any(|u| done.contains_key(u)) {
                return None;
            } else {
                waiting.extend(open);
            }
        }
    }
    Some(order)
}

/// All names that a node reads, in its bodies too.
fn reads(node: &NodeProto) -> Vec<String> {
    let mut names: Vec<String> = node.input.iter().filter(|n| !n.is_empty()).cloned().collect();
    names.extend(crate::onnx::captured_names(node));
    names
}
