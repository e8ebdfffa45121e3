//! Where a model is cut into stages.

use std::collections::{HashMap, HashSet};

use super::local::Local;
use super::need::{around, holding, needed};
use super::plan::VideoPlan;
use super::stage::Stage;
use super::work::{dense_work, stage_work};
use crate::channels::Shapes;
use crate::onnx::Graph;

/// Rows and columns of tiles that are tried, in places of a stage's first output.
const TILES: [usize; 5] = [4, 6, 8, 16, 32];
/// Tiles of a stage, at least and at most.
const FEWEST: usize = 4;
const MOST: usize = 600;
/// Places where a model may be cut, at most; and nodes of a stage.
const MOST_CUTS: usize = 110;
const MOST_NODES: usize = 120;

/// What cuts are chosen for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CutFor {
    /// Share of the frame that changes.
    pub share: f64,
    /// What a stage is taken to cost besides its nodes, over what it is expected to: more means fewer stages.
    pub weight: f64,
    /// Whether a stage may hold several layers that read around a place: that takes less, and what is left of a frame is only made up for in time.
    pub runs: bool,
}

/// Local nodes that the frame reaches, in an order in which each comes behind those it reads, with the number of other nodes
/// that lie between it and the frame: what is between two of the same number is never another node.
struct Line {
    nodes: Vec<(usize, Local)>,
    /// Index into `nodes` behind which it may be cut, ascending; the last is the end.
    cuts: Vec<usize>,
    /// The last place in the line that reads a value; past the end where others read it.
    last_read: HashMap<String, usize>,
}

/// The plan that is expected to take least; `None` where no stage is. `seen`: shares of the places of maps that frames were seen to touch; others
/// follow from the share of the frame.
pub fn planned(
    graph: &Graph,
    shapes: &Shapes,
    frame: &str,
    wanted: CutFor,
    seen: &HashMap<String, f64>,
) -> Option<VideoPlan> {
    let line = Line::of(graph, shapes, frame);
    let [_, height, width] = super::local::map_dims(shapes, frame)?;
    let finder = Finder {
        graph,
        shapes,
        line: &line,
        name: frame,
        frame: [height, width],
        wanted,
        seen,
    };
    let stages = finder.best()?;
    VideoPlan::new(graph, shapes, frame, stages)
}

impl Line {
    fn of(graph: &Graph, shapes: &Shapes, frame: &str) -> Self {
        let mut level: HashMap<&str, usize> = HashMap::from([(frame, 0)]);
        let mut nodes: Vec<(usize, Local)> = Vec::new();
        let mut whole: HashSet<&str> = HashSet::new();
        for (index, node) in graph.proto.node.iter().enumerate() {
            let captured = crate::onnx::captured_names(node);
            let read = node.input.iter().chain(&captured).map(String::as_str);
            let read: Vec<&str> = read.collect();
            let Some(mut own) = read.iter().filter_map(|n| level.get(n).copied()).max() else {
                continue;
            };
            match Local::of(graph, shapes, index) {
                Some(local) if local.maps.iter().all(|m| level.contains_key(m.as_str())) => {
                    let behind = |m: &String| {
                        level
                            .get(m.as_str())
                            .map_or(0, |l| l + usize::from(whole.contains(m.as_str())))
                    };
                    own = local.maps.iter().map(behind).max().unwrap_or(own);
                    nodes.push((own, local));
                }
                _ => {
                    let behind = |n: &&str| level.get(n).copied();
                    own = read.iter().filter_map(behind).max().unwrap_or(own);
                    whole.extend(node.output.iter().map(String::as_str));
                }
            }
            level.extend(node.output.iter().filter(|o| !o.is_empty()).map(|o| (o.as_str(), own)));
        }
        nodes.sort_by_key(|(level, local)| (*level, local.node));
        let mut line = Self {
            nodes,
            cuts: Vec::new(),
            last_read: HashMap::new(),
        };
        line.reads(graph);
        line.find_cuts(graph);
        line
    }

    fn reads(&mut self, graph: &Graph) {
        let place: HashMap<usize, usize> = self.nodes.iter().enumerate().map(|(at, (_, l))| (l.node, at)).collect();
        for (_, local) in &self.nodes {
            for output in graph.proto.node[local.node].output.iter().filter(|o| !o.is_empty()) {
                let readers = graph.consumers.get(output.as_str()).into_iter().flatten();
                let last = readers.map(|n| place.get(n).copied().unwrap_or(usize::MAX)).max();
                let last = if graph.is_seen_outside(output) {
                    Some(usize::MAX)
                } else {
                    last
                };
                if let Some(last) = last {
                    self.last_read.insert(output.clone(), last);
                }
            }
        }
    }

    /// Where few values pass that were not there a few nodes before, and no function of one value is torn from what it is applied to.
    fn find_cuts(&mut self, graph: &Graph) {
        let mut scored: Vec<(usize, usize)> = Vec::new();
        let last = self.nodes.len().saturating_sub(1);
        for at in 0..self.nodes.len() {
            let live: usize = self.nodes[..=at]
                .iter()
                .map(|(_, l)| self.live_behind(graph, l, at))
                .sum();
            let level_ends = self.nodes.get(at + 1).is_none_or(|(l, _)| *l != self.nodes[at].0);
            let torn = self.nodes.get(at + 1).is_some_and(|(_, next)| {
                let node = &graph.proto.node[next.node];
                let linear = matches!(
                    node.op_type(),
                    "Conv"
                        | "ConvTranspose"
                        | "MaxPool"
                        | "AveragePool"
                        | "Concat"
                        | "Resize"
                        | "Slice"
                        | "SpaceToDepth"
                );
                !linear
            });
            if at == last || level_ends {
                scored.push((0, at));
            } else if !torn {
                scored.push((live, at));
            }
        }
        // Evenly along the line, of each stretch where least passes.
        let each = scored.len().div_ceil(MOST_CUTS).max(1);
        let least = |few: &[(usize, usize)]| few.iter().min().map(|(_, at)| *at);
        let ends = scored.iter().filter(|(live, _)| *live == 0).map(|(_, at)| *at);
        let mut cuts: Vec<usize> = scored.chunks(each).filter_map(least).chain(ends).collect();
        cuts.sort_unstable();
        cuts.dedup();
        self.cuts = cuts;
    }

    fn live_behind(&self, graph: &Graph, local: &Local, at: usize) -> usize {
        let outputs = &graph.proto.node[local.node].output;
        let read = |o: &&String| {
            self.last_read
                .get(o.as_str())
                .is_some_and(|&last| last > at && last != usize::MAX)
        };
        outputs.iter().filter(read).count()
    }
}

/// A stretch of the line as stages, or as nodes on whole maps.
#[derive(Clone)]
struct Stretch {
    work: f64,
    stages: Vec<Stage>,
}

struct Finder<'a> {
    graph: &'a Graph<'a>,
    shapes: &'a Shapes,
    line: &'a Line,
    name: &'a str,
    frame: [usize; 2],
    wanted: CutFor,
    seen: &'a HashMap<String, f64>,
}

impl Finder<'_> {
    /// The stages of the cuts that take least together.
    fn best(&self) -> Option<Vec<Stage>> {
        let ends: Vec<usize> = self.line.cuts.iter().map(|c| c + 1).collect();
        // The least work up to each end, and the end before.
        let mut least: Vec<Option<(f64, usize, Stretch)>> = Vec::new();
        for (k, &end) in ends.iter().enumerate() {
            let mut best: Option<(f64, usize, Stretch)> = None;
            for from in (0..=k).rev() {
                let start = if from == 0 { 0 } else { ends[from - 1] };
                let before = match from {
                    0 => 0.0,
                    _ => match least.get(from - 1).and_then(Option::as_ref) {
                        Some((work, ..)) => *work,
                        None => continue,
                    },
                };
                if end - start > MOST_NODES {
                    break;
                }
                let Some(stretch) = self.stretch(start, end) else {
                    continue;
                };
                let work = before + stretch.work;
                if best.as_ref().is_none_or(|(least, ..)| work < *least) {
                    best = Some((work, from, stretch));
                }
            }
            least.push(best);
        }
        let mut stages = Vec::new();
        let mut at = ends.len();
        while at > 0 {
            let (_, from, stretch) = least.get(at - 1)?.as_ref()?;
            stages.splice(0..0, stretch.stages.iter().cloned());
            at = *from;
        }
        (!stages.is_empty()).then_some(stages)
    }

    /// Nodes of the line, part by part as tiles or whole, whatever takes less; `None` where they are of different levels.
    fn stretch(&self, start: usize, end: usize) -> Option<Stretch> {
        let nodes = self.line.nodes.get(start..end)?;
        let level = nodes.first()?.0;
        if nodes.iter().any(|(l, _)| *l != level) {
            return None;
        }
        let mut all = Stretch {
            work: 0.0,
            stages: Vec::new(),
        };
        for part in parts(self.graph, nodes) {
            let mut outputs = Vec::new();
            for local in &part {
                let made = self.graph.proto.node[local.node].output.iter();
                outputs.extend(
                    made.filter(|o| self.line.last_read.get(o.as_str()).is_some_and(|&l| l >= end))
                        .cloned(),
                );
            }
            let dense = dense_work(self.graph, self.shapes, &part, &outputs)?;
            let tiled = self.tiled(&part, &outputs);
            let first = part.iter().any(|l| l.maps.iter().any(|m| m == self.name));
            match tiled {
                // A frame that only nodes on whole maps read saves nothing.
                None if first => return None,
                Some((work, stage)) if work < dense || first => {
                    all.work += work;
                    all.stages.push(stage);
                }
                _ => all.work += dense,
            }
        }
        Some(all)
    }

    /// The best tiles for nodes.
    fn tiled(&self, part: &[Local], outputs: &[String]) -> Option<(f64, Stage)> {
        let mut best: Option<(f64, Stage)> = None;
        let places = Stage::places(
            self.graph,
            self.shapes,
            part.to_vec(),
            outputs.to_vec(),
            self.name,
            self.wanted.runs,
        );
        let tiled = TILES.iter().map(|tile| {
            let stage = Stage::new(self.graph, self.shapes, part.to_vec(), outputs.to_vec(), [*tile; 2]);
            stage.filter(|s| (FEWEST..=MOST).contains(&s.tiles()))
        });
        for stage in std::iter::once(places).chain(tiled).flatten() {
            let seen = |name: &str| self.seen.get(name).copied();
            let known = match stage.inner.is_empty() {
                true => stage
                    .outputs
                    .iter()
                    .filter_map(|o| seen(o))
                    .reduce(f64::max)
                    .map(|s| holding(&stage, s)),
                false => around(&stage, &seen),
            };
            let tiles = known.unwrap_or_else(|| needed(&stage, self.frame, self.wanted.share));
            let work = stage_work(self.graph, &stage, tiles)? * self.wanted.weight;
            if best.as_ref().is_none_or(|(least, _)| work < *least) {
                best = Some((work, stage));
            }
        }
        best
    }
}

/// Nodes that share maps, together.
fn parts(graph: &Graph, nodes: &[(usize, Local)]) -> Vec<Vec<Local>> {
    let mut parts: Vec<(HashSet<String>, Vec<Local>)> = Vec::new();
    for (_, local) in nodes {
        let made = graph.proto.node[local.node].output.iter().filter(|o| !o.is_empty());
        let mut names: HashSet<String> = made.chain(&local.maps).cloned().collect();
        let mut own = vec![local.clone()];
        let (joined, apart): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(n, _)| !n.is_disjoint(&names));
        for (others, locals) in joined {
            names.extend(others);
            own.extend(locals);
        }
        own.sort_by_key(|l| l.node);
        parts = apart;
        parts.push((names, own));
    }
    parts.into_iter().map(|(_, locals)| locals).collect()
}
