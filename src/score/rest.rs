//! The rest of a model behind a node, loaded once for several models that differ from it before that node only.

use std::collections::HashMap;
use std::rc::Rc;

use super::crossing::read_from;
use super::staged_executor::{Outputs, StagedExecutor};
use super::subgraph::Subgraph;
use crate::Result;
use crate::device::{DeviceTensor, Runner};
use crate::onnx::proto::{ModelProto, NodeProto, TensorProto};
use crate::onnx::{Graph, captured_names, encode};

/// The nodes of a model from one on.
pub struct Rest<'g> {
    model: &'g ModelProto,
    graph: &'g Graph<'g>,
    first: usize,
    loaded: Option<(Subgraph, Runner)>,
}

impl<'g> Rest<'g> {
    /// The nodes of `model` from `first` on. They are loaded when they are run for the first time.
    pub fn new(model: &'g ModelProto, graph: &'g Graph<'g>, first: usize) -> Self {
        Self {
            model,
            graph,
            first,
            loaded: None,
        }
    }

    /// The node of another model that it is the same from as this one is from its first node; `None` where they differ behind that.
    pub fn begins_in(&self, other: &Graph) -> Option<usize> {
        let own = &self.graph.proto.node[self.first.min(self.graph.proto.node.len())..];
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
    /// it are these.
    ///
    /// # Errors
    /// When ONNX Runtime refuses a part or a run fails.
    pub fn finish(
        &mut self,
        executor: &StagedExecutor,
        model: &ModelProto,
        graph: &Graph,
        range: std::ops::Range<usize>,
        see: Outputs,
    ) -> Result<()> {
        let read = read_from(self.graph, self.first);
        let runs = executor.runs();
        let held = |run: usize, name: &str| runs.get(run).and_then(|live| live.get(name)).map(Rc::as_ref);
        let Some(part) = Subgraph::new(model, graph, range, &|name| read.contains(name), runs.len(), &held)? else {
            return executor.finish(self.model, self.graph, self.first, see);
        };
        let mut runner = executor.device().runner(&encode(&part.model))?;
        for (k, live) in runs.iter().enumerate() {
            let between = |name: &str| !self.gives_out(name);
            let made: HashMap<String, DeviceTensor> = part
                .run(&mut runner, &|name| live.get(name).map(Rc::as_ref), &between)?
                .into_iter()
                .collect();
            let value = |name: &str| made.get(name).or_else(|| live.get(name).map(Rc::as_ref));
            if self.loaded.is_none() {
                self.loaded = self.load(executor, &value)?;
            }
            let mut outputs = match &mut self.loaded {
                Some((rest, runner)) => rest.run(runner, &value, &|_| false)?,
                None => Vec::new(),
            };
            outputs.extend(made.into_iter().filter(|(name, _)| self.gives_out(name)));
            see(k, outputs)?;
        }
        Ok(())
    }

    fn gives_out(&self, name: &str) -> bool {
        self.graph.proto.output.iter().any(|o| o.name() == name)
    }

    /// The nodes as a model that takes values like these.
    fn load<'v>(
        &self,
        executor: &StagedExecutor,
        value: &'v dyn Fn(&str) -> Option<&'v DeviceTensor>,
    ) -> Result<Option<(Subgraph, Runner)>> {
        let all = self.first..self.graph.proto.node.len();
        let like_first = |_, name: &str| value(name);
        let Some(mut rest) = Subgraph::new(
            self.model,
            self.graph,
            all,
            &|name| self.gives_out(name),
            1,
            &like_first,
        )?
        else {
            return Ok(None);
        };
        if !executor.runs_are_alike() {
            rest.forget_sizes();
        }
        let runner = executor.device().runner(&encode(&rest.model))?;
        Ok(Some((rest, runner)))
    }
}

/// The values of an initializer.
fn weight<'g>(graph: &Graph<'g>, name: &str) -> Option<&'g TensorProto> {
    graph.initializers.get(name).map(|&i| &graph.proto.initializer[i])
}
