//! A model with its weights as inputs, and the graph that makes their gradients.

use std::collections::{BTreeSet, HashMap, HashSet};

use rayon::prelude::*;

use super::backward::run;
use super::batches::Batch;
use super::codes::Codes;
use super::ends::{Trainable, of_floats, with_inputs};
use super::loss::seed;
use super::seen::Seen;
use super::tape::Tape;
use crate::device::{Device, DeviceTensor, NamedTensor, Runner};
use crate::onnx::proto::{GraphProto, ModelProto, OperatorSetIdProto};
use crate::onnx::{Dtype, Graph, NodeBuilder, Tensor, encode, named_value, standard_opset};
use crate::score::Objective;
use crate::{Error, Result};

/// The version of the operators that gradients are made of, and of the format that holds them.
const OPSET: i64 = 17;
const FORMAT: i64 = 8;
/// The name of the loss.
const LOSS: &str = "loss/of/all";
/// What an output of the teacher is called.
const TAUGHT: &str = "taught/";

/// Weights that gradients do not reach.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// How many.
    pub weights: usize,
    /// The operators without a rule that gradients met.
    pub by: Vec<String>,
}

/// A model with its weights as inputs, and what makes their gradients.
pub struct Gradients {
    forward: Runner,
    backward: Runner,
    /// Inputs of the second graph, and those of them that the first one makes.
    read: HashSet<String>,
    seen: HashSet<String>,
    /// Outputs of the teacher that the loss reads.
    taught: Vec<String>,
    /// The weights, in the order of their gradients.
    weights: Vec<Trainable>,
    /// The gradient of each.
    outputs: Vec<String>,
    /// What gradients do not reach.
    pub stopped: Stopped,
}

impl Gradients {
    /// For runs of `inputs` and losses of some outputs; or why no weight has a gradient.
    ///
    /// # Errors
    /// When the device refuses a model or a run fails.
    pub fn of(
        device: &dyn Device,
        model: &ModelProto,
        inputs: &[NamedTensor],
        objectives: &[Objective],
    ) -> Result<std::result::Result<Self, Stopped>> {
        let graph = Graph::of(model)?;
        let Seen { dims, lists } = Seen::of(device, model, &graph, inputs)?;
        let candidates = candidates(&graph);
        let mut all = dims.clone();
        all.extend(candidates.iter().map(|t| (t.name.clone(), t.tensor.dims.clone())));
        for output in objectives.iter().map(|o| &o.output) {
            let extents = dims.get(output).cloned().unwrap_or_default();
            all.extend(Objective::counted(output).map(|name| (name, extents.clone())));
        }
        let names: HashSet<String> = candidates.iter().map(|t| t.name.clone()).collect();
        let opset = standard_opset(model);
        let mut tape = Tape::new(&graph, opset, &all, &lists, &names);
        let taught = |output: &str| format!("{TAUGHT}{output}");
        let mut parts = Vec::new();
        for objective in objectives {
            let Some(extents) = dims.get(&objective.output) else {
                continue;
            };
            let (loss, gradient) = seed(&mut tape.builder, objective, &taught, extents);
            parts.push(loss);
            tape.add(&objective.output, gradient);
        }
        run(&mut tape);
        let (mut weights, mut outputs, mut left) = (Vec::new(), Vec::new(), 0);
        for weight in candidates {
            match tape.gradient(&weight.name) {
                Some(gradient) => {
                    outputs.push(gradient.clone());
                    weights.push(weight);
                }
                None => left += 1,
            }
        }
        let stopped = Stopped {
            weights: left,
            by: tape.without_rule.iter().cloned().collect(),
        };
        let Some((first, others)) = parts.split_first().filter(|_| !weights.is_empty()) else {
            return Ok(Err(stopped));
        };
        let mut builder = tape.builder;
        let sum = others
            .iter()
            .fold(first.clone(), |sum, part| builder.op("Add", &[&sum, part], &[]));
        builder.named("Identity", &[&sum], &[], LOSS);
        let wanted: Vec<&str> = outputs.iter().map(String::as_str).chain([LOSS]).collect();
        let read = drop_unused(&mut builder, &wanted);
        let trained: HashSet<&str> = weights.iter().map(|w| w.name.as_str()).collect();
        let mut typed = Vec::new();
        let mut seen = HashSet::new();
        for name in &read {
            let output = name.strip_prefix(TAUGHT).unwrap_or(name);
            if let Some(&i) = graph
                .initializers
                .get(name.as_str())
                .filter(|_| !trained.contains(name.as_str()))
            {
                builder.constants.push(graph.proto.initializer[i].clone());
                continue;
            }
            let extents = all
                .get(output)
                .ok_or_else(|| Error::Model(format!("value '{name}' was not seen")))?;
            typed.push(of_floats(name, extents));
            if name == output && !trained.contains(name.as_str()) {
                seen.insert(name.clone());
            }
        }
        let backward = ModelProto {
            ir_version: Some(FORMAT),
            opset_import: vec![OperatorSetIdProto {
                version: Some(OPSET),
                ..Default::default()
            }],
            graph: Some(GraphProto {
                name: Some("gradients".to_owned()),
                node: builder.nodes,
                initializer: builder.constants,
                input: typed,
                output: wanted.iter().map(|n| named_value(n)).collect(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let forward = with_inputs(model, &weights, &seen);
        Ok(Ok(Self {
            forward: device.runner(&encode(&forward))?,
            backward: device.runner(&encode(&backward))?,
            taught: read.iter().filter(|n| n.starts_with(TAUGHT)).cloned().collect(),
            read: read.into_iter().collect(),
            seen,
            weights,
            outputs,
            stopped,
        }))
    }

    /// The weights that are trained.
    pub fn weights(&self) -> &[Trainable] {
        &self.weights
    }

    /// The loss on one run and the gradient of each weight, for inputs and the teacher's outputs of the same run.
    ///
    /// # Errors
    /// When a run fails.
    pub fn at(
        &mut self,
        weights: &[Tensor],
        inputs: &[NamedTensor],
        taught: &[NamedTensor],
    ) -> Result<(f64, Vec<Vec<f32>>)> {
        let names = self.weights.iter().map(|w| w.name.as_str());
        let values = names.zip(weights).map(|(name, values)| DeviceTensor::new(name, values));
        let values: Vec<DeviceTensor> = values.collect::<Result<_>>()?;
        let held = |all: &[NamedTensor]| -> Result<Batch> {
            let each = all.iter().map(|(n, t)| Ok((n.clone(), DeviceTensor::new(n, t)?)));
            each.collect()
        };
        let mut sums: Vec<Vec<f32>> = self.weights.iter().map(|w| vec![0.0; w.tensor.len()]).collect();
        let loss = self.add(&values, &held(inputs)?, &held(taught)?, 1.0, &mut sums)?;
        Ok((loss, sums))
    }

    /// The loss on one run; `share` of the gradient of each weight is added to `sums`, where there are any.
    ///
    /// # Errors
    /// When a run fails.
    pub(super) fn add(
        &mut self,
        weights: &[DeviceTensor],
        inputs: &Batch,
        taught: &Batch,
        share: f32,
        sums: &mut [Vec<f32>],
    ) -> Result<f64> {
        let names = self.weights.iter().map(|w| w.name.as_str());
        let inputs = inputs.iter().map(|(name, value)| (name.as_str(), value));
        let own: Vec<(&str, &DeviceTensor)> = names.zip(weights).chain(inputs).collect();
        let made = self.forward.run_staying(&own, &|_| true)?;
        let taught = taught.iter().map(|(name, value)| (format!("{TAUGHT}{name}"), value));
        let taught: Vec<(String, &DeviceTensor)> = taught.filter(|(name, _)| self.taught.contains(name)).collect();
        let made = made.iter().map(|(name, value)| (name.as_str(), value));
        let made = made.filter(|(name, _)| self.seen.contains(*name));
        let own = own.into_iter().filter(|(name, _)| self.read.contains(*name));
        let taught = taught.iter().map(|(name, value)| (name.as_str(), *value));
        let values: Vec<(&str, &DeviceTensor)> = own.chain(made).chain(taught).collect();
        let found: HashMap<String, DeviceTensor> = self.backward.run(&values)?.into_iter().collect();
        let floats = |name: &str| {
            let value = found.get(name).and_then(DeviceTensor::floats);
            value.ok_or_else(|| Error::Model(format!("gradient '{name}' is missing")))
        };
        let pairs = sums.par_iter_mut().zip(&self.outputs);
        pairs.try_for_each(|(sum, name)| {
            let gradient = floats(name)?;
            sum.iter_mut().zip(gradient.iter()).for_each(|(a, g)| *a += share * g);
            Ok::<(), Error>(())
        })?;
        Ok(f64::from(floats(LOSS)?.first().copied().unwrap_or(f32::NAN)))
    }
}

/// Weights and biases of layers and of normalizations that are plain initializers of float32, or integers made floats of for one layer.
fn candidates(graph: &Graph) -> Vec<Trainable> {
    let mut names = BTreeSet::new();
    for node in &graph.proto.node {
        let inputs: &[usize] = match node.op_type() {
            "Conv" | "ConvTranspose" | "Gemm" | "BatchNormalization" => &[1, 2],
            "MatMul" => &[1],
            _ => continue,
        };
        names.extend(inputs.iter().filter_map(|&i| node.input.get(i)));
    }
    let seen = graph.seen_outside();
    // Statistics are constants to their rule; exporters write equal initializers once.
    let normal = graph.proto.node.iter().filter(|n| n.op_type() == "BatchNormalization");
    let statistics: BTreeSet<&String> = normal.flat_map(|n| n.input.iter().skip(3)).collect();
    let free = |name: &&String| {
        !graph.replaceable.contains(name.as_str()) && !seen.contains(*name) && !statistics.contains(*name)
    };
    let read = |name: &String| {
        let name = name.clone();
        let Some(&i) = graph.initializers.get(name.as_str()) else {
            let (codes, tensor) = Codes::of(graph, &name)?;
            let codes = Some(codes);
            return Some(Trainable { name, tensor, codes });
        };
        let tensor = Tensor::read(graph.proto.initializer.get(i)?).ok()?;
        let codes = None;
        (tensor.dtype == Dtype::Float).then_some(Trainable { name, tensor, codes })
    };
    names.into_iter().filter(free).filter_map(read).collect()
}

/// Leaves only nodes and constants that the wanted values are made of; what these read of others.
fn drop_unused(builder: &mut NodeBuilder, wanted: &[&str]) -> BTreeSet<String> {
    let mut needed: BTreeSet<String> = wanted.iter().map(|&n| n.to_owned()).collect();
    let mut kept = Vec::new();
    for node in std::mem::take(&mut builder.nodes).into_iter().rev() {
        if node.output.iter().any(|o| needed.contains(o)) {
            needed.extend(node.input.iter().filter(|i| !i.is_empty()).cloned());
            kept.push(node);
        }
    }
    kept.reverse();
    builder.constants.retain(|t| needed.contains(t.name()));
    let made = kept.iter().flat_map(|n| &n.output).cloned();
    let own: HashSet<String> = made
        .chain(builder.constants.iter().map(|t| t.name().to_owned()))
        .collect();
    builder.nodes = kept;
    needed.retain(|name| !own.contains(name));
    needed
}
