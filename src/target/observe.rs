//! One run of a model with every inner value as an output: the shapes, as they are.

use std::collections::{HashMap, HashSet};

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
    let stored = model.graph.as_ref().is_some_and(|g| !g.value_info.is_empty());
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
        graph.output.extend(inner.into_iter().map(|name| ValueInfoProto {
            name: Some(name),
            ..Default::default()
        }));
    }
    let run = |specs: &[InputSpec]| -> Result<HashMap<String, Vec<usize>>> {
        let inputs = random_inputs(specs, 0, 1.0)?;
        let outputs = runtime.run_plain(&encode(&probe), &inputs)?;
        let seen = outputs.iter().filter_map(|(name, v)| Some((name.clone(), extents(v)?)));
        Ok(seen
            .chain(specs.iter().map(|s| (s.name.clone(), s.dims.clone())))
            .collect())
    };
    let dims = run(specs).map_err(|e| refused(&e))?;
    let dynamic = match other_extents(specs) {
        None => HashSet::new(),
        Some(others) => match run(&others) {
            Ok(other) => differing(&dims, &other),
            // Where no other extent runs, any may depend on it.
            Err(_) => all_axes(&dims),
        },
    };
    Ok(Observed {
        shapes: Shapes { dims, dynamic },
        stale_value_info,
    })
}

/// The inputs with every open extent changed; `None` when none is open.
fn other_extents(specs: &[InputSpec]) -> Option<Vec<InputSpec>> {
    let mut others = specs.to_vec();
    let mut changed = false;
    for spec in &mut others {
        for &axis in &spec.open {
            // Space in steps that strides divide.
            spec.dims[axis] += if axis == 0 { 1 } else { 64 };
            changed = true;
        }
    }
    changed.then_some(others)
}

fn differing(a: &HashMap<String, Vec<usize>>, b: &HashMap<String, Vec<usize>>) -> HashSet<(String, usize)> {
    let mut found = HashSet::new();
    for (name, dims) in a {
        for (axis, extent) in dims.iter().enumerate() {
            if b.get(name).and_then(|d| d.get(axis)) != Some(extent) {
                found.insert((name.clone(), axis));
            }
        }
    }
    found
}

fn all_axes(dims: &HashMap<String, Vec<usize>>) -> HashSet<(String, usize)> {
    dims.iter()
        .flat_map(|(name, d)| (0..d.len()).map(|axis| (name.clone(), axis)))
        .collect()
}

fn refused(error: &Error) -> Error {
    Error::Model(format!("ONNX Runtime cannot run this model: {error}"))
}
