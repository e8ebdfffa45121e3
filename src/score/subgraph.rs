//! Some nodes of a graph as a model of their own.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use crate::device::{DeviceTensor, Runner};
use crate::onnx::proto::{
    GraphProto, ModelProto, NodeProto, TensorShapeProto, TypeProto, ValueInfoProto, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension::Value as Dim, type_proto, type_proto::Value as Kind,
};
use crate::onnx::{Graph, captured_names, named_value};
use crate::ops::{LinearOp, Movement};
use crate::{Error, Result};

/// The values of one run that later nodes read, by name.
pub type Live = HashMap<String, Arc<DeviceTensor>>;

/// The value of a run by name, where it is held.
pub(super) type Held<'h> = &'h dyn Fn(usize, &str) -> Option<&'h DeviceTensor>;

/// Some nodes as a model of their own.
pub(super) struct Subgraph {
    /// The model.
    pub model: ModelProto,
    /// Names of its inputs.
    pub inputs: Vec<String>,
}

impl Subgraph {
    /// `None` when nothing that is kept is made there. Its inputs are typed by what is held for so many runs.
    pub fn new(
        model: &ModelProto,
        graph: &Graph,
        range: Range<usize>,
        keep: &dyn Fn(&str) -> bool,
        runs: usize,
        held: Held,
    ) -> Result<Option<Self>> {
        let all = &graph.proto.node;
        let of_constants = of_constants(graph);
        let is_constant = |name: &str| {
            let made = graph.producer.get(name);
            graph.initializers.contains_key(name) || made.is_some_and(|p| of_constants.contains(p))
        };
        let nodes = range.filter(|n| !of_constants.contains(n)).map(|n| &all[n]);
        let nodes: Vec<&NodeProto> = nodes.collect();
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
                    .map(|n| named_value(n)),
            );
        }
        if outputs.is_empty() {
            return Ok(None);
        }
        let mut typed = Vec::new();
        for name in &inputs {
            typed.push(described(name, runs, held)?);
        }
        // What is made of constants is made in each part anew, of the constants that it then has.
        let mut before: BTreeSet<usize> = BTreeSet::new();
        let mut at = 0;
        while let Some(name) = constants.get(at) {
            at += 1;
            let Some(&producer) = graph.producer.get(name.as_str()) else {
                continue;
            };
            if before.insert(producer) {
                constants.extend(all[producer].input.iter().filter(|n| !n.is_empty()).cloned());
            }
        }
        let mut seen = HashSet::new();
        constants.retain(|name| seen.insert(name.clone()));
        let proto = GraphProto {
            name: Some("part".to_owned()),
            node: before.iter().map(|&p| &all[p]).chain(nodes).cloned().collect(),
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

    /// Takes the weights of linear layers that `differ` as inputs from then on, so that the model serves whatever they are; the weights.
    ///
    /// # Errors
    /// When a weight cannot be handed to ONNX Runtime.
    pub fn lift_weights(
        &mut self,
        graph: &Graph,
        range: Range<usize>,
        differ: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<(String, DeviceTensor)>> {
        let weights = |n: usize| {
            let node = &graph.proto.node[n];
            let of_layer = LinearOp::of(graph, n).is_some();
            node.input.iter().skip(1).filter(move |_| of_layer)
        };
        let read_elsewhere = |name: &str| {
            let readers = graph.consumers.get(name).map(Vec::as_slice).unwrap_or_default();
            readers.iter().any(|&n| weights(n).all(|w| w != name))
        };
        let mut names: Vec<&String> = range.flat_map(weights).collect();
        names.sort();
        names.dedup();
        let mut lifted = Vec::new();
        let Some(own) = self.model.graph.as_mut() else {
            return Ok(lifted);
        };
        for name in names {
            let at = own.initializer.iter().position(|t| t.name() == name.as_str());
            let (Some(at), Some(tensor)) = (at, graph.stored(name)) else {
                continue;
            };
            if !tensor.is_float() || read_elsewhere(name) || !differ(name) {
                continue;
            }
            let value = DeviceTensor::new(name, &tensor)?;
            own.input.push(described(name, 1, &|_, _| Some(&value))?);
            own.initializer.remove(at);
            self.inputs.push(name.clone());
            lifted.push((name.clone(), value));
        }
        Ok(lifted)
    }

    /// Leaves the sizes of its inputs open.
    pub fn forget_sizes(&mut self) {
        let inputs = self.model.graph.iter_mut().flat_map(|g| &mut g.input);
        let types = inputs.filter_map(|i| i.r#type.as_mut()?.value.as_mut());
        for kind in types {
            if let Kind::TensorType(type_proto::Tensor { shape: Some(shape), .. }) = kind {
                shape.dim.iter_mut().for_each(|dim| dim.value = None);
            }
        }
    }

    /// Runs it on values that are held by name. Those of its outputs that `stays` names may stay in the device's own memory.
    pub fn run<'v>(
        &self,
        runner: &mut Runner,
        held: &dyn Fn(&str) -> Option<&'v DeviceTensor>,
        stays: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<(String, DeviceTensor)>> {
        let mut values = Vec::new();
        for name in &self.inputs {
            let missing = || Error::Model(format!("value '{name}' is missing in a part of the model"));
            values.push((name.as_str(), held(name).ok_or_else(missing)?));
        }
        runner.run_staying(&values, stays)
    }
}

/// The nodes that make values of constants alone: `Constant`, and what moves, converts or dequantizes such values. Not those whose
/// value the graph gives out.
fn of_constants(graph: &Graph) -> HashSet<usize> {
    let given_out: HashSet<&str> = graph.proto.output.iter().map(|o| o.name()).collect();
    let mut found = HashSet::new();
    for (index, node) in graph.proto.node.iter().enumerate() {
        let constant = |name: &String| {
            let made = graph.producer.get(name.as_str());
            name.is_empty() || graph.initializers.contains_key(name.as_str()) || made.is_some_and(|p| found.contains(p))
        };
        let moves = Movement::of(node).is_some() && node.input.iter().all(constant);
        let shown = node.output.iter().any(|o| given_out.contains(o.as_str()));
        if node.op_type() == "Constant" || (moves && !shown) {
            found.insert(index);
        }
    }
    found
}

/// A value as an input of a part: its type and shape; sizes that differ between runs stay symbolic.
fn described(name: &str, runs: usize, held: Held) -> Result<ValueInfoProto> {
    let missing = || {
        Error::Model(format!(
            "value '{name}' cannot be handed from one part of the model to the next"
        ))
    };
    let first = held(0, name).ok_or_else(missing)?;
    let dtype = first.dtype();
    let dtype = dtype.ok_or_else(|| Error::Model(format!("value '{name}' is no tensor of numbers")))?;
    let all: Vec<Vec<usize>> = (0..runs)
        .filter_map(|run| held(run, name))
        .map(DeviceTensor::dims)
        .collect();
    let dims = first.dims();
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
        ..named_value(name)
    })
}
