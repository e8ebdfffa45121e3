//! Running a graph stretch by stretch over many samples, holding only the values that are still needed.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::channels::Analysis;
use crate::data::Dataset;
use crate::device::{Device, DeviceTensor, Named};
use crate::onnx::proto::{
    GraphProto, ModelProto, NodeProto, TensorShapeProto, TypeProto, ValueInfoProto, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension::Value as Dim, type_proto, type_proto::Value as Kind,
};
use crate::onnx::{Graph, captured_names, encode};
use crate::{Error, Result};

/// The values of one run that later nodes read, by name.
pub type Live = HashMap<String, DeviceTensor>;

/// How far a graph has been run, for every run of the samples. A graph is run once in all, however many stops
/// are made; what is held is what crosses the present place.
pub struct StagedExecutor<'t> {
    device: &'t dyn Device,
    runs: Vec<Live>,
    /// Samples of each run.
    samples: Vec<usize>,
    at: usize,
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
                live.insert(name.clone(), DeviceTensor::new(&name, &tensor)?);
            }
            held.push(live);
            samples.push(run.samples);
        }
        Ok(Self {
            device,
            runs: held,
            samples,
            at: 0,
        })
    }

    /// Before the first node, with inputs that are given.
    ///
    /// # Errors
    /// When an input cannot be handed to ONNX Runtime.
    pub fn of(device: &'t dyn Device, inputs: &[Named]) -> Result<Self> {
        let mut live = Live::new();
        for (name, tensor) in inputs {
            live.insert(name.clone(), DeviceTensor::new(name, tensor)?);
        }
        Ok(Self {
            device,
            runs: vec![live],
            samples: vec![1],
            at: 0,
        })
    }

    /// How many nodes have been run.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The nodes of `range`, of a graph whose nodes before make what is held here, as a model of their own that gives out
    /// what `keep` says; and the inputs that it takes, as the first run has them. `None` when it makes nothing.
    ///
    /// # Errors
    /// When a value that it reads is not held here.
    pub fn subgraph(
        &self,
        model: &ModelProto,
        graph: &Graph,
        range: Range<usize>,
        keep: &dyn Fn(&str) -> bool,
    ) -> Result<Option<(ModelProto, Vec<Named>)>> {
        let Some(part) = Part::new(model, graph, range, keep, &self.runs)? else {
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

    /// The device that runs the parts.
    pub fn device(&self) -> &'t dyn Device {
        self.device
    }

    /// The runs with what they hold.
    pub fn runs(&self) -> &[Live] {
        &self.runs
    }

    /// Samples in a run.
    pub fn samples(&self, run: usize) -> usize {
        self.samples.get(run).copied().unwrap_or(0)
    }

    /// A held value of one run.
    ///
    /// # Errors
    /// When it is not held here, or is no tensor.
    pub fn value(&self, run: usize, name: &str) -> Result<&DeviceTensor> {
        let found = self.runs.get(run).and_then(|live| live.get(name));
        found.ok_or_else(|| Error::Model(format!("value '{name}' cannot be seen between the parts of the model")))
    }

    /// Runs the nodes of `model` up to, not including, node `to`; what later nodes read is held from then on,
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
        if let Some(part) = Part::new(model, graph, self.at..to, &keep, &self.runs)? {
            let mut runner = self.device.runner(&encode(&part.model))?;
            for live in &mut self.runs {
                let made = part.run(&mut runner, live)?;
                live.extend(made);
                live.retain(|name, _| keep(name));
            }
        }
        self.at = to;
        Ok(())
    }

    /// The outputs of one run of another model whose nodes before the present place make the same values: its nodes from
    /// `from` on are run on what is held here. Nothing that is held changes.
    ///
    /// # Errors
    /// As in [`StagedExecutor::advance`].
    pub fn finish(
        &self,
        model: &ModelProto,
        graph: &Graph,
        from: usize,
        see: &mut dyn FnMut(usize, Vec<(String, DeviceTensor)>) -> Result<()>,
    ) -> Result<()> {
        let outputs: HashSet<&str> = graph.proto.output.iter().map(|o| o.name()).collect();
        let keep = |name: &str| outputs.contains(name);
        let all = from..graph.proto.node.len();
        let Some(part) = Part::new(model, graph, all, &keep, &self.runs)? else {
            return Ok(());
        };
        let mut runner = self.device.runner(&encode(&part.model))?;
        for (k, live) in self.runs.iter().enumerate() {
            see(k, part.run(&mut runner, live)?)?;
        }
        Ok(())
    }
}

/// The most bytes that cross one place of the graph for one sample, values counting as float32. `batch`: samples that the
/// analysed extents hold.
pub fn crossing_bytes(graph: &Graph, analysis: &Analysis, batch: usize) -> u64 {
    let co = &analysis.dependencies;
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.proto.node.iter().enumerate() {
        last.extend(node.input.iter().map(|n| (n.as_str(), index)));
    }
    let size = |name: &str| -> u64 {
        let dims = co.by_name(name).map_or(&[][..], |id| co.dims(id));
        4 * dims.iter().map(|&d| d as u64).product::<u64>()
    };
    let (mut now, mut most) = (0, 0);
    let mut freed: HashMap<usize, u64> = HashMap::new();
    for (index, node) in graph.proto.node.iter().enumerate() {
        for name in node.output.iter().filter(|n| !n.is_empty()) {
            now += size(name);
            *freed
                .entry(last.get(name.as_str()).copied().unwrap_or(index))
                .or_insert(0) += size(name);
        }
        most = most.max(now);
        now -= freed.remove(&index).unwrap_or(0);
    }
    most.div_ceil(batch.max(1) as u64)
}

/// Names that nodes from `to` on read, or that the graph gives out.
pub fn read_from<'g>(graph: &Graph<'g>, to: usize) -> HashSet<&'g str> {
    let mut names: HashSet<&str> = graph.proto.output.iter().map(|o| o.name()).collect();
    let captured: HashSet<String> = graph.proto.node[to..].iter().flat_map(captured_names).collect();
    names.extend(
        graph.proto.node[to..]
            .iter()
            .flat_map(|n| n.input.iter().map(String::as_str)),
    );
    names.extend(graph.producer.keys().filter(|n| captured.contains(**n)));
    names
}

/// Some nodes as a model of their own.
struct Part {
    model: ModelProto,
    inputs: Vec<String>,
}

impl Part {
    /// `None` when nothing that is kept is made there.
    fn new(
        model: &ModelProto,
        graph: &Graph,
        range: Range<usize>,
        keep: &dyn Fn(&str) -> bool,
        runs: &[Live],
    ) -> Result<Option<Self>> {
        let all = &graph.proto.node;
        let is_constant = |name: &str| {
            graph.initializers.contains_key(name)
                || graph
                    .producer
                    .get(name)
                    .is_some_and(|&p| all[p].op_type() == "Constant")
        };
        let nodes: Vec<&NodeProto> = all[range].iter().filter(|n| n.op_type() != "Constant").collect();
        let mut made: HashSet<&str> = HashSet::new();
        let (mut inputs, mut constants): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for node in &nodes {
            let captured = captured_names(node);
            for name in node.input.iter().chain(&captured).filter(|n| !n.is_empty()) {
                let list = if is_constant(name) { &mut constants } else { &mut inputs };
                if !made.contains(name.as_str()) && !list.contains(name) {
                    list.push(name.clone());
                }
            }
            made.extend(node.output.iter().filter(|n| !n.is_empty()).map(String::as_str));
        }
        let mut outputs: Vec<ValueInfoProto> = Vec::new();
        for node in &nodes {
            outputs.extend(
                node.output
                    .iter()
                    .filter(|n| !n.is_empty() && keep(n))
                    .map(|n| named(n)),
            );
        }
        if outputs.is_empty() {
            return Ok(None);
        }
        let mut typed = Vec::new();
        for name in &inputs {
            typed.push(described(name, runs)?);
        }
        let before = constants.iter().filter_map(|n| graph.producer.get(n.as_str()));
        let proto = GraphProto {
            name: Some("part".to_owned()),
            node: before.map(|&p| &all[p]).chain(nodes).cloned().collect(),
            initializer: constants
                .iter()
                .filter_map(|n| graph.initializers.get(n.as_str()))
                .map(|&i| graph.proto.initializer[i].clone())
                .collect(),
            input: typed,
            output: outputs,
            ..Default::default()
        };
        Ok(Some(Self {
            model: ModelProto {
                ir_version: model.ir_version,
                opset_import: model.opset_import.clone(),
                functions: model.functions.clone(),
                graph: Some(proto),
                ..Default::default()
            },
            inputs,
        }))
    }

    fn run(&self, runner: &mut crate::device::Runner, live: &Live) -> Result<Vec<(String, DeviceTensor)>> {
        let mut values = Vec::new();
        for name in &self.inputs {
            let held = live.get(name);
            values.push((
                name.as_str(),
                held.ok_or_else(|| Error::Model(format!("value '{name}' is missing in a part of the model")))?,
            ));
        }
        runner.run(&values)
    }
}

fn named(name: &str) -> ValueInfoProto {
    ValueInfoProto {
        name: Some(name.to_owned()),
        ..Default::default()
    }
}

/// A value as an input of a part: its type and extents; those that differ between runs stay open.
fn described(name: &str, runs: &[Live]) -> Result<ValueInfoProto> {
    let missing = || {
        Error::Model(format!(
            "value '{name}' cannot be handed from one part of the model to the next"
        ))
    };
    let held = runs.first().and_then(|live| live.get(name)).ok_or_else(missing)?;
    let dtype = held.dtype();
    let dtype = dtype.ok_or_else(|| Error::Model(format!("value '{name}' is no tensor of numbers")))?;
    let all: Vec<Vec<usize>> = runs
        .iter()
        .filter_map(|live| live.get(name))
        .map(DeviceTensor::dims)
        .collect();
    let dims = held.dims();
    let alike = |axis: usize, size: usize| all.iter().all(|d| d.get(axis) == Some(&size));
    let dim = |(axis, &d): (usize, &usize)| Dimension {
        value: alike(axis, d).then_some(Dim::DimValue(d as i64)),
        ..Default::default()
    };
    let shape = all.iter().all(|d| d.len() == dims.len()).then(|| TensorShapeProto {
        dim: dims.iter().enumerate().map(dim).collect(),
    });
    let tensor = type_proto::Tensor {
        elem_type: Some(dtype as i32),
        shape,
    };
    Ok(ValueInfoProto {
        r#type: Some(TypeProto {
            value: Some(Kind::TensorType(tensor)),
            ..Default::default()
        }),
        ..named(name)
    })
}
