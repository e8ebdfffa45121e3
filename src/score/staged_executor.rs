//! Runs a graph subgraph by subgraph over many samples and keeps only the values that are still needed.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use super::crossing::read_from;
use super::subgraph::{Live, Subgraph};
use super::taker::Taker;
use crate::data::Dataset;
use crate::device::{Device, DeviceTensor, NamedTensor};
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, encode};
use crate::{Error, Result};

/// Values stay in a device's own memory where they take less than one part in so many of what is free there: the models that read
/// them need some, and an arena takes more than it is asked for.
const OF_MEMORY: u64 = 4;

/// What looks at the outputs of each run, by their number.
pub type Outputs<'o> = &'o mut dyn FnMut(usize, Vec<(String, DeviceTensor)>) -> Result<()>;

/// How far a graph is to be run.
#[derive(Clone, Copy)]
pub struct Until<'m> {
    /// The model.
    pub model: &'m ModelProto,
    /// Look-ups over it.
    pub graph: &'m Graph<'m>,
    /// The first node that is not run.
    pub node: usize,
    /// Values that are kept besides those that later nodes read, where a node that is run makes them.
    pub also: &'m [&'m str],
}

/// How far a graph has been run, for every run of the samples. A graph is run once in all, however many stops
/// are made; what is kept is what crosses the present point.
pub struct StagedExecutor<'t> {
    device: &'t dyn Device,
    runs: Vec<Live>,
    /// Samples of each run.
    samples: Vec<usize>,
    at: usize,
    /// Whether what is kept stays in the device's own memory.
    staying: bool,
    /// Takes single places out of what stays there.
    taker: Taker,
}

impl<'t> StagedExecutor<'t> {
    /// Before the first node, with the inputs of some runs of the samples.
    ///
    /// # Errors
    /// When an input cannot be handed to ONNX Runtime.
    pub fn new(device: &'t dyn Device, data: &Dataset, runs: Range<usize>) -> Result<Self> {
        let (mut held, mut samples) = (Vec::new(), Vec::new());
        for k in runs {
            let run = data.run(k);
            let mut live = Live::new();
            for (name, tensor) in run.inputs {
                live.insert(name.clone(), Arc::new(DeviceTensor::new(&name, &tensor)?));
            }
            held.push(live);
            samples.push(run.samples);
        }
        Ok(Self {
            device,
            runs: held,
            samples,
            at: 0,
            staying: false,
            taker: Taker::default(),
        })
    }

    /// Before the first node, with inputs that are given.
    ///
    /// # Errors
    /// When an input cannot be handed to ONNX Runtime.
    pub fn of(device: &'t dyn Device, inputs: &[NamedTensor]) -> Result<Self> {
        let mut live = Live::new();
        for (name, tensor) in inputs {
            live.insert(name.clone(), Arc::new(DeviceTensor::new(name, tensor)?));
        }
        Ok(Self {
            device,
            runs: vec![live],
            samples: vec![1],
            at: 0,
            staying: false,
            taker: Taker::default(),
        })
    }

    /// The same, for values that only other models of the device read: where it has a memory of its own and they take little of it, they
    /// stay there. `bytes` is the most that is kept for one sample.
    #[must_use]
    pub fn staying(self, bytes: u64) -> Self {
        let samples: usize = self.samples.iter().sum();
        let needed = bytes.saturating_mul(samples as u64);
        let free = self.device.memory().unwrap_or(0);
        Self {
            staying: needed < free / OF_MEMORY,
            ..self
        }
    }

    /// Whether values stay in the device's own memory, which has room for so many bytes more for each sample of a run.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        let samples = self.samples.iter().max().copied().unwrap_or(0);
        let free = self.device.memory().unwrap_or(0);
        self.staying && bytes.saturating_mul(samples as u64) < free / OF_MEMORY
    }

    /// The same place in another model whose nodes before node `at` make the same values. What is kept is shared.
    #[must_use]
    pub fn of_another(&self, at: usize) -> Self {
        Self {
            device: self.device,
            runs: self.runs.clone(),
            samples: self.samples.clone(),
            at,
            staying: self.staying,
            taker: Taker::default(),
        }
    }

    /// How many nodes have been run.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The nodes of `range`, of a graph whose earlier nodes make what is kept here, as a model of their own that gives out
    /// what `keep` says; and the inputs that it takes, as the first run has them. `None` when it makes nothing.
    ///
    /// # Errors
    /// When a value that it reads is not kept here.
    pub fn subgraph(
        &self,
        model: &ModelProto,
        graph: &Graph,
        range: Range<usize>,
        keep: &dyn Fn(&str) -> bool,
    ) -> Result<Option<(ModelProto, Vec<NamedTensor>)>> {
        let Some(part) = self.part(model, graph, range, keep)? else {
            return Ok(None);
        };
        let mut inputs = Vec::new();
        for name in &part.inputs {
            let tensor = self.value(0, name)?.tensor();
            let tensor = tensor.ok_or_else(|| Error::Model(format!("value '{name}' is no tensor of numbers")))?;
            inputs.push((name.clone(), tensor));
        }
        Ok(Some((part.model, inputs)))
    }

    /// What takes single places out of values.
    pub(super) fn taker(&self) -> &Taker {
        &self.taker
    }

    /// The device that runs the parts.
    pub fn device(&self) -> &'t dyn Device {
        self.device
    }

    /// The runs with the values that they keep.
    pub fn runs(&self) -> &[Live] {
        &self.runs
    }

    /// Samples in a run.
    pub fn samples(&self, run: usize) -> usize {
        self.samples.get(run).copied().unwrap_or(0)
    }

    /// Whether all runs keep values of the same sizes.
    pub(super) fn runs_are_alike(&self) -> bool {
        let first = self.runs.first();
        let alike = |live: &Live| {
            let same = |(name, held): (&String, &Arc<DeviceTensor>)| {
                let other = first.and_then(|f| f.get(name));
                other.is_some_and(|o| o.dims() == held.dims())
            };
            live.iter().all(same)
        };
        self.runs.iter().all(alike)
    }

    fn part(
        &self,
        model: &ModelProto,
        graph: &Graph,
        range: Range<usize>,
        keep: &dyn Fn(&str) -> bool,
    ) -> Result<Option<Subgraph>> {
        let held = |run: usize, name: &str| self.runs.get(run).and_then(|live| live.get(name)).map(Arc::as_ref);
        Subgraph::new(model, graph, range, keep, self.runs.len(), &held)
    }

    /// A kept value of one run.
    ///
    /// # Errors
    /// When it is not kept here, or is no tensor.
    pub fn value(&self, run: usize, name: &str) -> Result<&DeviceTensor> {
        let found = self.runs.get(run).and_then(|live| live.get(name)).map(Arc::as_ref);
        found.ok_or_else(|| Error::Model(format!("value '{name}' cannot be seen between the parts of the model")))
    }

    /// Runs the nodes of `model` up to, not including, node `to`; what later nodes read is kept from then on,
    /// and what is in `also`, where a node that is run makes it.
    ///
    /// # Errors
    /// When ONNX Runtime refuses a part or a run fails.
    pub fn advance(&mut self, model: &ModelProto, graph: &Graph, to: usize, also: &[&str]) -> Result<()> {
        if to <= self.at {
            return Ok(());
        }
        let needed = read_from(graph, to);
        let keep = |name: &str| needed.contains(name) || also.contains(&name);
        if let Some(part) = self.part(model, graph, self.at..to, &keep)? {
            let mut runner = self.device.runner(&encode(&part.model))?;
            let stays = |_: &str| self.staying;
            for live in &mut self.runs {
                let made = part.run(&mut runner, &|name| live.get(name).map(Arc::as_ref), &stays)?;
                live.extend(made.into_iter().map(|(name, value)| (name, Arc::new(value))));
                live.retain(|name, _| keep(name));
            }
        }
        self.at = to;
        Ok(())
    }

    /// Runs each of two executors as far as is said, as [`Self::advance`] does; at the same time where most of it is copying between a device's
    /// memory and the host's.
    ///
    /// # Errors
    /// As in [`Self::advance`].
    pub fn advance_both(one: (&mut Self, Until), other: (&mut Self, Until)) -> Result<()> {
        let run =
            |(executor, until): (&mut Self, Until)| executor.advance(until.model, until.graph, until.node, until.also);
        if one.0.device.memory().is_none() {
            run(one)?;
            return run(other);
        }
        std::thread::scope(|scope| {
            let beside = scope.spawn(|| run(one));
            let own = run(other);
            let beside = beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            beside.and(own)
        })
    }

    /// The outputs of one run of another model whose nodes before the present place make the same values: its nodes from
    /// `from` on are run on what is kept here. Nothing that is kept changes.
    ///
    /// # Errors
    /// As in [`StagedExecutor::advance`].
    pub fn finish(&self, model: &ModelProto, graph: &Graph, from: usize, see: Outputs) -> Result<()> {
        let outputs: HashSet<&str> = graph.proto.output.iter().map(|o| o.name()).collect();
        let keep = |name: &str| outputs.contains(name);
        let all = from..graph.proto.node.len();
        let Some(part) = self.part(model, graph, all, &keep)? else {
            return Ok(());
        };
        self.device.with_runner(&encode(&part.model), &mut |runner| {
            for (k, live) in self.runs.iter().enumerate() {
                see(
                    k,
                    part.run(runner, &|name| live.get(name).map(Arc::as_ref), &|_| false)?,
                )?;
            }
            Ok(())
        })
    }
}
