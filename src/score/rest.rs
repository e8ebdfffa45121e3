//! The rest of a model behind some places, loaded once for several models that differ from it before such a place only.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::crossing::read_from;
use super::staged_executor::{Outputs, StagedExecutor};
use super::subgraph::Subgraph;
use crate::Result;
use crate::device::{DeviceTensor, Runner};
use crate::onnx::proto::{ModelProto, NodeProto, TensorProto};
use crate::onnx::{Graph, captured_names, encode};

/// The nodes of a model from some places on. They are loaded when they are run for the first time.
pub struct Rest<'g> {
    model: &'g ModelProto,
    graph: &'g Graph<'g>,
    parts: Vec<Part>,
    /// Whether the parts that begin at all places stay loaded; otherwise one is, that from a place to the end.
    shared: bool,
    /// The part that the last of the other models has of its own, by the hash of its file without the weights that differ.
    last: Option<(blake3::Hash, Runner)>,
}

/// Nodes up to where the next part begins.
struct Part {
    nodes: Range<usize>,
    /// What comes of them and of what is there before that later nodes read, or that the model gives out.
    read: HashSet<String>,
    /// As a model, once it is known what its inputs look like; `None` in it where it makes nothing.
    loaded: Option<Option<(Subgraph, Runner)>>,
    /// The sizes of the inputs that it was loaded for; `None`: any.
    sizes: Option<Vec<Vec<usize>>>,
}

impl<'g> Rest<'g> {
    /// The nodes of `model` from each of `places` on, for what `executor` keeps. Where that stays in a device's own memory and all values
    /// of the model have room there (`bytes` for one sample), nodes behind several of the places are loaded once.
    pub fn new(
        model: &'g ModelProto,
        graph: &'g Graph<'g>,
        places: impl IntoIterator<Item = usize>,
        executor: &StagedExecutor,
        bytes: u64,
    ) -> Self {
        let mut rest = Self {
            model,
            graph,
            parts: Vec::new(),
            last: None,
            shared: executor.has_room(bytes),
        };
        if rest.shared {
            rest.divide(places.into_iter().collect());
        }
        rest
    }

    /// Parts that begin at these places.
    fn divide(&mut self, places: BTreeSet<usize>) {
        let end = self.graph.proto.node.len();
        let ends = places.iter().copied().skip(1).chain([end]);
        let part = |(first, end): (usize, usize)| Part {
            nodes: first..end,
            read: read_from(self.graph, end).into_iter().map(str::to_owned).collect(),
            loaded: None,
            sizes: None,
        };
        self.parts = places.iter().copied().zip(ends).map(part).collect();
    }

    /// The node of another model that it is the same from as this one is from node `first` on; `None` where they differ behind that.
    pub fn begins_in(&self, first: usize, other: &Graph) -> Option<usize> {
        let own = self.graph.proto.node.get(first..).unwrap_or_default();
        let first = other.proto.node.len().checked_sub(own.len())?;
        let same = |(a, b): (&NodeProto, &NodeProto)| {
            let read = captured_names(a);
            a == b
                && a.input
                    .iter()
                    .chain(&read)
                    .all(|name| weight(self.graph, name) == weight(other, name))
        };
        own.iter().zip(&other.proto.node[first..]).all(same).then_some(first)
    }

    /// The outputs of every run of another model whose nodes before `range` make the values that an executor keeps, and whose nodes behind
    /// it are these from `first` on, which is one of the places.
    ///
    /// # Errors
    /// When ONNX Runtime refuses a part or a run fails.
    pub fn finish(
        &mut self,
        executor: &StagedExecutor,
        (model, graph): (&ModelProto, &Graph),
        range: Range<usize>,
        first: usize,
        see: Outputs,
    ) -> Result<()> {
        let read = read_from(self.graph, first);
        let runs = executor.runs();
        let held = |run: usize, name: &str| runs.get(run).and_then(|live| live.get(name)).map(Arc::as_ref);
        let keep = |name: &str| read.contains(name);
        let Some(mut part) = Subgraph::new(model, graph, range.clone(), &keep, runs.len(), &held)? else {
            return executor.finish(self.model, self.graph, first, see);
        };
        // Where sessions take longer to load than to run, one serves all models that differ in weights only.
        let differ = |name: &str| weight(self.graph, name) != weight(graph, name);
        let weights = match executor.device().memory() {
            Some(_) => part.lift_weights(graph, range, &differ)?,
            None => Vec::new(),
        };
        let weights: HashMap<String, DeviceTensor> = weights.into_iter().collect();
        if !self.parts.iter().any(|p| p.nodes.start == first) {
            self.divide(BTreeSet::from([first]));
        }
        let given_out: HashSet<&str> = self.graph.proto.output.iter().map(|o| o.name()).collect();
        let between = |name: &str| !given_out.contains(name);
        let file = encode(&part.model);
        let hash = blake3::hash(&file);
        let mut runner = match self.last.take() {
            Some((last, runner)) if last == hash => runner,
            _ => executor.device().runner(&file)?,
        };
        for (k, live) in runs.iter().enumerate() {
            let given = |name: &str| weights.get(name).or_else(|| live.get(name).map(Arc::as_ref));
            let mut made: HashMap<String, DeviceTensor> =
                part.run(&mut runner, &given, &between)?.into_iter().collect();
            for part in self.parts.iter_mut().filter(|p| p.nodes.start >= first) {
                let value = |name: &str| made.get(name).or_else(|| live.get(name).map(Arc::as_ref));
                if part.loaded.is_none() || !part.serves(&value) {
                    part.load((self.model, self.graph), executor, &value)?;
                }
                let new = match &mut part.loaded {
                    Some(Some((subgraph, runner))) => subgraph.run(runner, &value, &between)?,
                    _ => Vec::new(),
                };
                made.extend(new);
                made.retain(|name, _| part.read.contains(name));
            }
            made.retain(|name, _| given_out.contains(name.as_str()));
            see(k, made.into_iter().collect())?;
        }
        self.last = (!weights.is_empty()).then_some((hash, runner));
        Ok(())
    }
}

impl Part {
    /// Whether it was loaded for values of these sizes.
    fn serves<'v>(&self, value: &dyn Fn(&str) -> Option<&'v DeviceTensor>) -> bool {
        let (Some(Some((subgraph, _))), Some(sizes)) = (&self.loaded, &self.sizes) else {
            return true;
        };
        let same = |(name, dims): (&String, &Vec<usize>)| value(name).is_some_and(|v| v.dims() == *dims);
        subgraph.inputs.iter().zip(sizes).all(same)
    }

    /// Loads the nodes as a model that takes values like these; once they differ, of any sizes.
    fn load<'v>(
        &mut self,
        (model, graph): (&ModelProto, &Graph),
        executor: &StagedExecutor,
        value: &'v dyn Fn(&str) -> Option<&'v DeviceTensor>,
    ) -> Result<()> {
        let like_first = |_, name: &str| value(name);
        let keep = |name: &str| self.read.contains(name);
        let Some(mut subgraph) = Subgraph::new(model, graph, self.nodes.clone(), &keep, 1, &like_first)? else {
            self.loaded = Some(None);
            return Ok(());
        };
        let sizes = subgraph
            .inputs
            .iter()
            .map(|name| value(name).map_or_else(Vec::new, DeviceTensor::dims));
        self.sizes = (self.loaded.is_none() && executor.runs_are_alike()).then(|| sizes.collect());
        if self.sizes.is_none() {
            subgraph.forget_sizes();
        }
        let runner = executor.device().runner(&encode(&subgraph.model))?;
        self.loaded = Some(Some((subgraph, runner)));
        Ok(())
    }
}

/// The values of an initializer.
fn weight<'g>(graph: &Graph<'g>, name: &str) -> Option<&'g TensorProto> {
    graph.initializers.get(name).map(|&i| &graph.proto.initializer[i])
}
