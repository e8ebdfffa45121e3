//! The least and the greatest number of every float activation on some inputs.

use std::collections::HashMap;

use crate::device::{Executor, NamedTensor};
use crate::onnx::proto::{ModelProto, ValueInfoProto};
use crate::onnx::{Dtype, encode};
use crate::{Error, Result};

/// The least and the greatest number of a value, zero included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Range {
    pub low: f32,
    pub high: f32,
}

/// Ranges of graph inputs and of what nodes make, by name.
pub(super) fn of_activations(
    device: &dyn Executor,
    model: &ModelProto,
    runs: &mut dyn Iterator<Item = Vec<NamedTensor>>,
) -> Result<HashMap<String, Range>> {
    let mut shown = model.clone();
    let graph = shown.graph.as_mut();
    let graph = graph.ok_or_else(|| Error::Model("the model has no graph".to_owned()))?;
    let made = graph.node.iter().flat_map(|n| &n.output).filter(|n| !n.is_empty());
    let fresh = made.filter(|n| !graph.output.iter().any(|o| o.name() == *n));
    let fresh: Vec<ValueInfoProto> = fresh
        .map(|name| ValueInfoProto {
            name: Some(name.clone()),
            ..Default::default()
        })
        .collect();
    graph.output.extend(fresh);
    graph.value_info.clear();
    let bytes = encode(&shown);
    let mut run = device.loaded_plain(&bytes)?;
    let mut found: HashMap<String, Range> = HashMap::new();
    for inputs in runs {
        let outputs = run(&inputs)?;
        for (name, tensor) in inputs.iter().chain(&outputs) {
            let Some(values) = tensor.to_f32().filter(|_| tensor.dtype == Dtype::Float) else {
                continue;
            };
            let range = found.entry(name.clone()).or_default();
            for v in values.into_iter().filter(|v| v.is_finite()) {
                (range.low, range.high) = (range.low.min(v), range.high.max(v));
            }
        }
    }
    Ok(found)
}
