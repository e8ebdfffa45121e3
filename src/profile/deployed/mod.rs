//! Float models in the form in which they will be deployed: quantized or cast, for timing only.

mod cast;
mod int8;
mod ranges;

use std::collections::HashMap;

use ranges::Range;

use super::problem::{Problem, ProducerLayout};
use super::quantized::{Forks, Quantized, QuantizedForm};
use crate::device::{Executor, NamedTensor};
use crate::onnx::proto::ModelProto;
use crate::onnx::{Dtype, Graph, encode};
use crate::{Error, Result};

/// In which type a float model will be deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeployDtype {
    /// int8 activations and weights between `QuantizeLinear` and `DequantizeLinear`, weights per channel.
    Int8,
    /// float16, with float32 inputs and outputs.
    Float16,
    /// bfloat16, likewise.
    Bfloat16,
}

impl DeployDtype {
    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Float16 => "fp16",
            Self::Bfloat16 => "bf16",
        }
    }
}

/// What a float model becomes for timing.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The type.
    pub dtype: DeployDtype,
    /// Ranges of float activations, by name; of int8 alone.
    ranges: HashMap<String, Range>,
    /// Whether weights have a scale for each output channel, which `DequantizeLinear` knows since opset 13.
    per_channel: bool,
}

impl Deployment {
    /// Of `model`; `runs` are inputs that activations have their ranges from.
    ///
    /// # Errors
    /// When the model is not of float32, or cannot be run in the type.
    pub fn new(
        dtype: DeployDtype,
        device: &dyn Executor,
        model: &ModelProto,
        runs: &mut dyn Iterator<Item = Vec<NamedTensor>>,
    ) -> Result<Self> {
        let graph = Graph::of(model)?;
        if let Some(what) = not_float(&graph) {
            return Err(Error::Usage(format!(
                "a float32 model is needed to choose widths for {}, and this one has {what}",
                dtype.name()
            )));
        }
        let opset = crate::onnx::standard_opset(model);
        if dtype == DeployDtype::Int8 && opset < 10 {
            return Err(Error::Usage(format!(
                "the model is of opset {opset}, and quantized forms need 10 at least: convert it (onnx.version_converter)"
            )));
        }
        let mut runs = runs.peekable();
        let first = runs.peek().cloned().unwrap_or_default();
        let ranges = match dtype {
            DeployDtype::Int8 => ranges::of_activations(device, model, &mut runs)?,
            _ => HashMap::new(),
        };
        let deployment = Self {
            dtype,
            ranges,
            per_channel: opset >= 13,
        };
        let form = encode(&deployment.form(model)?);
        device.outputs(&form, &first).map_err(|e| {
            Error::Usage(format!(
                "ONNX Runtime does not run the model in {} on this device, so that no time in it is known: {e}",
                dtype.name()
            ))
        })?;
        Ok(deployment)
    }

    /// `model`, or one with other widths, in the form that is timed. Activations keep the names by which their ranges are known.
    ///
    /// # Errors
    /// When the model has no graph.
    pub fn form(&self, model: &ModelProto) -> Result<ModelProto> {
        match self.dtype {
            DeployDtype::Int8 => int8::quantized(model, &self.ranges, self.per_channel),
            DeployDtype::Float16 => cast::cast(model, Dtype::Float16),
            DeployDtype::Bfloat16 => cast::cast(model, Dtype::Bfloat16),
        }
    }

    /// A layer's problem in that form; `forks` are those of its activations that others read too. bfloat16 is probed in float16, whose kernels are tiled alike.
    pub fn problem(&self, problem: Problem, forks: Forks) -> Problem {
        if self.dtype != DeployDtype::Int8 {
            return Problem {
                dtype: "f16".to_owned(),
                ..problem
            };
        }
        // Where the quantizer clips, ONNX Runtime takes these out.
        let clips = problem.activation.starts_with("Relu") || problem.activation.starts_with("Clip");
        Problem {
            dtype: "i8".to_owned(),
            activation: if clips { String::new() } else { problem.activation },
            producer_layout: ProducerLayout::Plain,
            quantized: Some(Quantized {
                form: QuantizedForm::Qdq,
                weight: "i8".to_owned(),
                per_channel: self.per_channel && problem.op == "Conv",
                shifted: false,
                output: Some("i8".to_owned()),
                bias: problem.bias.then(|| "i32".to_owned()),
                forks,
            }),
            ..problem
        }
    }
}

/// Which activations of a float layer are read by several nodes, before it or behind what is fused to it.
pub fn float_forks(graph: &Graph, node: usize) -> Forks {
    let readers = |name: &str| graph.consumers.get(name).map_or(0, Vec::len);
    let mut last = &graph.proto.node[node];
    while let Some(next) = graph.only_user(last) {
        if !matches!(next.op_type(), "Relu" | "Clip" | "BatchNormalization") {
            break;
        }
        last = next;
    }
    let first = graph.proto.node[node].input.first();
    Forks {
        input: first.is_some_and(|n| readers(n) > 1),
        output: last.output.first().is_some_and(|n| readers(n) > 1),
    }
}

/// What shows that a model is no float32 one.
fn not_float(graph: &Graph) -> Option<&'static str> {
    let ops = || graph.proto.node.iter().map(|n| n.op_type());
    if ops().any(|op| op.contains("QuantizeLinear") || op.starts_with("QLinear") || op.contains("Integer")) {
        return Some("quantized layers");
    }
    let half = |t: &crate::onnx::proto::TensorProto| {
        [Dtype::Float16 as i32, Dtype::Bfloat16 as i32].contains(&t.data_type()) && t.dims.len() > 1
    };
    graph.proto.initializer.iter().any(half).then_some("weights of 16 bits")
}

#[cfg(test)]
mod tests;
