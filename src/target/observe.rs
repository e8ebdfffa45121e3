//! One run of a model with every inner value as an output: the shapes, as they are.

use std::collections::HashSet;

use super::runtime::Runtime;
use super::values::extents;
use super::{InputSpec, random_inputs};
use crate::channels::Shapes;
use crate::onnx::encode;
use crate::onnx::proto::{ModelProto, ValueInfoProto};
use crate::{Error, Result};

/// What a run showed.
#[derive(Debug)]
pub struct Observed {
    /// The extents of every value.
    pub shapes: Shapes,
    /// Whether the stored `value_info` had to be dropped for ONNX Runtime to accept the model.
    pub stale_value_info: bool,
}

/// The model without notes on inner values; ONNX Runtime infers them again.
pub fn without_value_info(model: &ModelProto) -> ModelProto {
    let mut copy = model.clone();
    if let Some(graph) = copy.graph.as_mut() {
        graph.value_info.clear();
    }
    copy
}

/// Runs `model` once on the CPU with random inputs and collects all shapes.
///
/// # Errors
/// When ONNX Runtime refuses the model or the run fails.
pub fn observe(runtime: &Runtime, model: &ModelProto, specs: &[InputSpec]) -> Result<Observed> {
    let inputs = random_inputs(specs, 0, 1.0)?;
    let stored = model
        .graph
        .as_ref()
        .is_some_and(|g| !g.value_info.is_empty());
    let plain = runtime.run_plain(&encode(model), &inputs);
    let stale_value_info = match plain {
        Ok(_) => false,
        Err(e) if !stored => return Err(refused(&e)),
        Err(first) => match runtime.run_plain(&encode(&without_value_info(model)), &inputs) {
            Ok(_) => true,
            Err(_) => return Err(refused(&first)),
        },
    };
    let mut probe = without_value_info(model);
    if let Some(graph) = probe.graph.as_mut() {
        let present: HashSet<String> = graph.output.iter().map(|o| o.name().to_owned()).collect();
        let inner: Vec<String> = graph
            .node
            .iter()
            .flat_map(|n| n.output.iter())
            .filter(|n| !n.is_empty() && !present.contains(*n))
            .cloned()
            .collect();
        graph
            .output
            .extend(inner.into_iter().map(|name| ValueInfoProto {
                name: Some(name),
                ..Default::default()
            }));
    }
    let mut shapes = Shapes::new();
    for (name, value) in runtime
        .run_plain(&encode(&probe), &inputs)
        .map_err(|e| refused(&e))?
    {
        if let Some(dims) = extents(&value) {
            shapes.insert(name, dims);
        }
    }
    for spec in specs {
        shapes.insert(spec.name.clone(), spec.dims.clone());
    }
    Ok(Observed {
        shapes,
        stale_value_info,
    })
}

fn refused(error: &Error) -> Error {
    Error::Model(format!("ONNX Runtime cannot run this model: {error}"))
}
