//! The graph of a file that computes tiles.

use std::collections::HashMap;

use super::change::{FIRST, frame_change, tile_change};
use super::emitter::{COUNTER, Emitter, map_state, next, pending_state};
use super::manifest::CHANGED;
use super::nodes::Nodes;
use super::numbers::Numbers;
use super::plan::{Unit, VideoPlan};
use super::stage::{Stage, StageMap};
use super::tables::{core_pixels, run_length, window_pixels, window_runs};
use crate::onnx::proto::NodeProto;
use crate::onnx::{Graph, NodeBuilder, Tensor};
use crate::{Error, Result};

/// What a place that is left waits for counts as this much of the threshold, run by run.
const WAITED: f32 = 1e-3;
/// Waiting alone comes to no more than this much of the threshold.
const MOST_WAITED: f32 = 0.5;

/// The nodes and constants of a file that computes `computed` tiles of each stage.
///
/// # Errors
/// When the plan does not fit the graph.
pub(super) fn emitted(
    graph: &Graph,
    plan: &VideoPlan,
    numbers: &Numbers,
    computed: &[usize],
    opset: i64,
) -> Result<NodeBuilder> {
    let mut e = Emitter {
        nodes: Nodes {
            builder: NodeBuilder::new("snapprune/video"),
            opset,
        },
        graph,
        plan,
        numbers,
        changes: HashMap::new(),
        turns: HashMap::new(),
        tables: HashMap::new(),
    };
    e.whole(computed)
        .ok_or_else(|| Error::Model("the stages of a video file do not fit its graph".to_owned()))?;
    Ok(e.nodes.builder)
}

impl Emitter<'_> {
    fn whole(&mut self, computed: &[usize]) -> Option<()> {
        let one = self.nodes.builder.ints(&[1]);
        self.nodes.builder.named("Add", &[COUNTER, &one], &[], &next(COUNTER));
        let changed = frame_change(self);
        self.changes.insert(self.plan.frame.clone(), changed);
        let plan = self.plan;
        for unit in &plan.order {
            match *unit {
                Unit::Node(n) => {
                    let node = self.graph.proto.node.get(n)?;
                    self.nodes.builder.nodes.push(node.clone());
                    for output in &node.output {
                        self.track(output)?;
                    }
                }
                Unit::Stage(s) => self.stage(s, *computed.get(s)?)?,
            }
        }
        self.count_left()
    }

    /// Counts the tiles of each stage that changed and were left: those up to the end of each, less those up to the end of the one before.
    fn count_left(&mut self) -> Option<()> {
        let stages = self.plan.stages.iter();
        let ends = stages.scan(0, |end, s| {
            *end += s.tiles() as i64;
            Some(*end)
        });
        let ends: Vec<i64> = ends.collect();
        let left: Vec<String> = (0..ends.len()).map(|s| next(&pending_state(s))).collect();
        let left: Vec<&str> = left.iter().map(String::as_str).collect();
        let limit = self.nodes.floats(&[], &[self.numbers.threshold()]);
        let none = self.nodes.floats(&[1], &[0.0]);
        let left: Vec<&str> = std::iter::once(none.as_str()).chain(left).collect();
        let starts: Vec<i64> = std::iter::once(0)
            .chain(ends.iter().copied())
            .take(ends.len())
            .collect();
        let [starts, ends] = [&starts, &ends].map(|list| self.nodes.builder.ints(list));
        let b = &mut self.nodes.builder;
        let all = b.op("Concat", &left, &[("axis", &[0])]);
        let above = b.op("Greater", &[&all, &limit], &[]);
        let ones = b.op("Cast", &[&above], &[("to", &[7])]);
        let axis = b.table(&[], &[0]);
        let sums = b.op("CumSum", &[&ones, &axis], &[]);
        let [starts, ends] = [starts, ends].map(|at| b.op("Gather", &[&sums, &at], &[("axis", &[0])]));
        b.named("Sub", &[&ends, &starts], &[], CHANGED);
        Some(())
    }

    pub(super) fn kept(&self, name: &str) -> Option<usize> {
        self.plan.kept.iter().position(|k| k == name)
    }

    /// Rows and changes of a map that a node made as a whole, if a stage reads it.
    fn track(&mut self, name: &str) -> Option<()> {
        let Some(index) = self.kept(name) else {
            return Some(());
        };
        let map = self.plan.stages.iter().find_map(|s| s.maps.get(name))?;
        let state = map_state(index);
        self.nodes.as_state(name, map.dims, &next(&state));
        let each = self.nodes.change(&next(&state), &state, 1, 0);
        let each = self.nodes.first_rows(&each, map.dims[1] * map.dims[2]);
        let each = self.scaled(name, &each)?;
        self.changed(name, map, &each);
        Some(())
    }

    /// Notes how much each place of a map changed, as a share of its range.
    fn changed(&mut self, name: &str, map: &StageMap, each: &str) {
        let shape = [1, 1, map.dims[1] as i64, map.dims[2] as i64];
        let shaped = self.nodes.builder.reshape(each, &shape);
        self.changes.insert(name.to_owned(), shaped);
    }

    /// Changes of a map as shares of its range.
    fn scaled(&mut self, name: &str, each: &str) -> Option<String> {
        let scale = self.nodes.floats(&[], &[1.0 / self.numbers.range(name)?]);
        Some(self.nodes.builder.op("Mul", &[each, &scale], &[]))
    }

    fn stage(&mut self, index: usize, keep: usize) -> Option<()> {
        let stage = &self.plan.stages[index];
        let chosen = self.choice(index, stage, keep)?;
        if stage.is_of_places() {
            return self.computed_rows(stage, &chosen);
        }
        let mut names: HashMap<String, String> = HashMap::new();
        for input in &stage.inputs {
            let gathered = self.gathered(input, stage.maps.get(input)?, stage, &chosen)?;
            names.insert(input.clone(), gathered);
        }
        for local in &stage.nodes {
            let node = self.graph.proto.node.get(local.node)?;
            let mut own = node.clone();
            for name in own.input.iter_mut() {
                if let Some(inner) = names.get(name.as_str()) {
                    inner.clone_into(name);
                }
            }
            for name in own.output.iter_mut().filter(|n| !n.is_empty()) {
                let inner = format!("snapprune/video/{index}/{name}");
                names.insert(name.clone(), inner.clone());
                *name = inner;
            }
            own.name = Some(format!("snapprune/video/{index}/node_{}", local.node));
            if let Some(scales) = local.scales {
                self.rescale(&mut own, scales)?;
            }
            self.nodes.builder.nodes.push(own);
        }
        for output in &stage.outputs {
            self.put_back(output, names.get(output)?.clone(), stage, keep, &chosen)?;
        }
        Some(())
    }

    /// Gives a `Resize` factors in place of the sizes of the whole map.
    fn rescale(&mut self, node: &mut NodeProto, scales: [i64; 2]) -> Option<()> {
        let [rows, columns] = scales.map(|s| s as f32);
        let scales = self
            .nodes
            .builder
            .constant(&Tensor::from_f32(vec![4], &[1.0, 1.0, rows, columns]));
        let x = node.input.first()?.clone();
        // Before opset 13 the region of interest is not optional; nothing here reads it.
        let region = self.nodes.builder.constant(&Tensor::from_f32(vec![0], &[]));
        node.input = match self.nodes.opset {
            ..11 => vec![x, scales],
            _ => vec![x, region, scales],
        };
        node.attribute
            .retain(|a| !matches!(a.name(), "axes" | "keep_aspect_ratio_policy"));
        Some(())
    }

    /// The numbers of the tiles to compute; what the others miss becomes the state, and is counted.
    fn choice(&mut self, index: usize, stage: &Stage, keep: usize) -> Option<String> {
        let state = pending_state(index);
        let count = stage.tiles();
        let limit = self.nodes.floats(&[], &[self.numbers.threshold()]);
        let (score, ranked) = if stage.is_of_places() {
            let change = self.place_change(stage)?;
            let score = self.nodes.builder.op("Add", &[&state, &change], &[]);
            let score = self.waited(&score);
            (score.clone(), score)
        } else {
            let change = tile_change(self, stage)?;
            let turn = self.turn(count);
            let numbers: Vec<i64> = (0..count as i64).collect();
            let numbers = self.nodes.builder.table(&[count], &numbers);
            let score = self.nodes.builder.op("Add", &[&state, &change], &[]);
            let own = self.nodes.builder.op("Equal", &[&numbers, &turn], &[]);
            let first = self.nodes.floats(&[], &[FIRST]);
            let ranked = self.nodes.builder.op("Where", &[&own, &first, &score], &[]);
            (score, ranked)
        };
        let k = self.nodes.builder.ints(&[keep as i64]);
        let chosen = self
            .nodes
            .builder
            .op("TopK", &[&ranked, &k], &[("axis", &[0]), ("sorted", &[0])]);
        let values = self.nodes.builder.fresh("values");
        self.nodes.builder.nodes.last_mut()?.output.insert(0, values);
        let zeros = self.nodes.floats(&[keep], &vec![0.0; keep]);
        let left = next(&state);
        let lists: [(&str, &[i64]); 1] = [("axis", &[0])];
        let inputs = [score.as_str(), &chosen, &zeros];
        if stage.inner.is_empty() {
            self.nodes.builder.named("ScatterElements", &inputs, &lists, &left);
        } else {
            let own = self.nodes.builder.op("ScatterElements", &inputs, &lists);
            let carried = self.carried(&own, stage, &limit);
            self.nodes.builder.named("Max", &[&own, &carried], &[], &left);
        }
        Some(chosen)
    }

    /// Scores of places: what is below the threshold grows while it waits, so that of little change that comes first which was left longest.
    fn waited(&mut self, score: &str) -> String {
        let threshold = self.numbers.threshold();
        let [once, most, zero] =
            [threshold * WAITED, threshold * MOST_WAITED, 0.0].map(|v| self.nodes.floats(&[], &[v]));
        let b = &mut self.nodes.builder;
        let grown = b.op("Add", &[score, &once], &[]);
        let bounded = b.op("Min", &[&grown, &most], &[]);
        let more = b.op("Max", &[score, &bounded], &[]);
        let waits = b.op("Greater", &[score, &zero], &[]);
        b.op("Where", &[&waits, &more, score], &[])
    }

    /// Windows of an input: tiles × channels × rows × columns.
    fn gathered(&mut self, name: &str, map: &StageMap, stage: &Stage, chosen: &str) -> Option<String> {
        if name == self.plan.frame {
            let (dims, table) = window_runs(stage, map);
            let table = self.nodes.builder.table(&dims, &table);
            let runs = self.nodes.builder.reshape(name, &[-1, run_length(map) as i64]);
            let at = self.nodes.rows(&table, chosen);
            let taken = self.nodes.rows(&runs, &at);
            let [rows, columns] = map.window.map(|n| n as i64);
            return Some(
                self.nodes
                    .builder
                    .reshape(&taken, &[-1, map.dims[0] as i64, rows, columns]),
            );
        }
        let (dims, table) = window_pixels(stage, map);
        let table = self.nodes.builder.table(&dims, &table);
        let at = self.nodes.rows(&table, chosen);
        let taken = self.nodes.rows(&next(&map_state(self.kept(name)?)), &at);
        Some(
            self.nodes
                .builder
                .op("Transpose", &[&taken], &[("perm", &[0, 3, 1, 2])]),
        )
    }

    /// Writes the tiles of an output into its kept map.
    fn put_back(&mut self, name: &str, made: String, stage: &Stage, keep: usize, chosen: &str) -> Option<()> {
        let map = *stage.maps.get(name)?;
        let (dims, global, local) = core_pixels(stage, &map);
        let own = self.nodes.as_rows(&made, map.dims[0]);
        let new = if dims[1] == map.window[0] * map.window[1] {
            own
        } else {
            let plane = map.window[0] * map.window[1];
            let starts: Vec<i64> = (0..keep).map(|k| (k * plane) as i64).collect();
            let starts = self.nodes.builder.table(&[keep, 1], &starts);
            let local = self.nodes.builder.table(&dims, &local);
            let inner = self.nodes.rows(&local, chosen);
            let inner = self.nodes.builder.op("Add", &[&inner, &starts], &[]);
            let inner = self.nodes.builder.reshape(&inner, &[-1]);
            self.nodes.rows(&own, &inner)
        };
        let global = self.nodes.builder.table(&[dims[0], dims[1], 1], &global);
        let at = self.nodes.rows(&global, chosen);
        let flat = self.nodes.builder.reshape(&at, &[-1]);
        let at = self.nodes.builder.reshape(&at, &[-1, 1]);
        self.replace(name, &new, &at, &flat, stage)
    }

    /// A column of indices that is known no sooner than a column of changes, which are never below zero: what these read is read before anything is
    /// written.
    fn behind(&mut self, each: &str, at: &str) -> String {
        let zero = self.nodes.floats(&[], &[0.0]);
        let first = self.nodes.builder.ints(&[0]);
        let below = self.nodes.builder.op("Less", &[each, &zero], &[]);
        self.nodes.builder.op("Where", &[&below, &first, at], &[])
    }

    /// Writes rows into a kept map, `at` places (a column of indices, and flat), and notes what changed.
    pub(super) fn replace(&mut self, name: &str, new: &str, at: &str, flat: &str, stage: &Stage) -> Option<()> {
        let map = *stage.maps.get(name)?;
        let state = map_state(self.kept(name)?);
        let rows = next(&state);
        let mut at = at.to_owned();
        if self.plan.stages.iter().any(|s| s.inputs.iter().any(|i| i == name)) {
            let old = self.nodes.rows(&state, flat);
            let each = self.nodes.change(new, &old, 1, 1);
            at = self.behind(&each, &at);
            let each = self.scaled(name, &each)?;
            let pixels = map.dims[1] * map.dims[2];
            let zeros = self.nodes.floats(&[pixels, 1], &vec![0.0; pixels]);
            let spread = self.nodes.builder.op("ScatterND", &[&zeros, &at, &each], &[]);
            self.changed(name, &map, &spread);
        }
        self.nodes.builder.named("ScatterND", &[&state, &at, new], &[], &rows);
        let inside = |n: usize| {
            stage.nodes.iter().any(|l| l.node == n)
                || self.plan.stages.iter().any(|s| s.nodes.iter().any(|l| l.node == n))
        };
        let seen = self.graph.is_seen_outside(name);
        let read = self
            .graph
            .consumers
            .get(name)
            .is_some_and(|all| all.iter().any(|&n| !inside(n)));
        if seen || read {
            self.nodes.as_map(&rows, map.dims, name);
        }
        Some(())
    }
}
