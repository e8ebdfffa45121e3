//! What one run of a model shows of its values.

use std::collections::{HashMap, HashSet};

use super::ends::with_outputs;
use crate::Result;
use crate::device::{Device, DeviceTensor, NamedTensor};
use crate::onnx::proto::ModelProto;
use crate::onnx::{Dtype, Graph, encode};

/// Lists of whole numbers longer than this are no extents or places.
const LONGEST: usize = 64;

/// What one run shows.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Extents of all values of float32.
    pub dims: HashMap<String, Vec<usize>>,
    /// Short lists of whole numbers that no value of an input has a part in: bounds, extents, pads.
    pub lists: HashMap<String, Vec<i64>>,
}

impl Seen {
    /// One run on `inputs`.
    ///
    /// # Errors
    /// When the device refuses the model or the run fails.
    pub fn of(device: &dyn Device, model: &ModelProto, graph: &Graph, inputs: &[NamedTensor]) -> Result<Self> {
        let outputs = graph
            .proto
            .node
            .iter()
            .flat_map(|n| &n.output)
            .filter(|o| !o.is_empty());
        let all: HashSet<String> = outputs.cloned().collect();
        let mut runner = device.runner(&encode(&with_outputs(model, &all)))?;
        let mut held = Vec::new();
        for (name, tensor) in inputs {
            held.push((name.clone(), DeviceTensor::new(name, tensor)?));
        }
        let values: Vec<(&str, &DeviceTensor)> = held.iter().map(|(name, value)| (name.as_str(), value)).collect();
        let made = runner.run(&values)?;
        let by_values = by_values(graph);
        let mut seen = Self::default();
        for (name, value) in made.into_iter().chain(held) {
            match value.dtype() {
                Some(Dtype::Float) => {
                    seen.dims.insert(name, value.dims());
                }
                Some(Dtype::Int64) if !by_values.contains(&name) => {
                    let list = value.tensor().and_then(|t| t.to_i64()).filter(|l| l.len() <= LONGEST);
                    seen.lists.extend(list.map(|list| (name, list)));
                }
                _ => {}
            }
        }
        Ok(seen)
    }
}

/// Values that depend on what inputs hold, not on their extents alone.
fn by_values(graph: &Graph) -> HashSet<String> {
    let mut found: HashSet<String> = graph.real_inputs().into_iter().map(str::to_owned).collect();
    for node in &graph.proto.node {
        let captured = crate::onnx::captured_names(node);
        let reads = node.input.iter().chain(&captured).any(|i| found.contains(i));
        if reads && !matches!(node.op_type(), "Shape" | "Size") {
            found.extend(node.output.iter().cloned());
        }
    }
    found
}
