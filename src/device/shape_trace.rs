//! One run of a model with every inner value as an output: the shapes, as they are.

use std::collections::{HashMap, HashSet};

use super::inputs::{InputSpec, random_inputs, unsettled};
use super::runtime::Runtime;
use super::values::{is_float, odd_element_bytes, shape};
use crate::channels::Shapes;
use crate::error::SessionErrorKind;
use crate::onnx::proto::{
    ModelProto, ValueInfoProto,
    tensor_shape_proto::{Dimension, dimension::Value as Dim},
    type_proto::Value as Kind,
};
use crate::onnx::{Dtype, element_size, encode};
use crate::{Error, Result};

/// What a run showed.
#[derive(Debug)]
pub struct Observed {
    /// The extents of every value.
    pub shapes: Shapes,
    /// Whether the stored `value_info` had to be dropped for ONNX Runtime to accept the model.
    pub stale_value_info: bool,
}

/// What one run shows of every value.
struct Seen {
    dims: HashMap<String, Vec<usize>>,
    /// Where they are not 4.
    element_bytes: HashMap<String, usize>,
    no_floats: HashSet<String>,
}

/// The model without notes on inner values; ONNX Runtime infers them again.
pub fn without_value_info(model: &ModelProto) -> ModelProto {
    let mut copy = model.clone();
    if let Some(graph) = copy.graph.as_mut() {
        graph.value_info.clear();
    }
    copy
}

/// Runs `model` on the CPU with random inputs and collects all shapes.
///
/// # Errors
/// When ONNX Runtime refuses the model or the run fails.
pub fn observe(runtime: &Runtime, model: &ModelProto, specs: &[InputSpec]) -> Result<Observed> {
    let stored = model.graph.as_ref().is_some_and(|g| !g.value_info.is_empty());
    let least = batches(specs).map(|[least, ..]| at_batch(specs, least));
    // A model without notes on inner values is the one whose inner values are looked at below.
    let stale_value_info = stored && is_stale(runtime, model, least.as_deref().unwrap_or(specs))?;
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
    let run = |specs: &[InputSpec]| -> Result<Seen> {
        let inputs = random_inputs(specs, 0, 1.0)?;
        let outputs = runtime.run_plain(&encode(&probe), &inputs)?;
        let dims = outputs.iter().filter_map(|(name, v)| Some((name.clone(), shape(v)?)));
        let odd = outputs
            .iter()
            .filter_map(|(name, v)| Some((name.clone(), odd_element_bytes(v)?)));
        let given = specs
            .iter()
            .filter_map(|s| Some((s.name.clone(), element_size(s.dtype).filter(|&n| n != 4)?)));
        let others = outputs.iter().filter(|(_, v)| !is_float(v)).map(|(name, _)| name);
        let other_inputs = specs.iter().filter(|s| s.dtype != Dtype::Float).map(|s| &s.name);
        Ok(Seen {
            no_floats: others.chain(other_inputs).cloned().collect(),
            dims: dims
                .chain(specs.iter().map(|s| (s.name.clone(), s.dims.clone())))
                .collect(),
            element_bytes: odd.chain(given).collect(),
        })
    };
    if let Some(shapes) = at_small_batches(specs, &run) {
        return Ok(Observed {
            shapes,
            stale_value_info,
        });
    }
    let Seen {
        dims,
        element_bytes,
        no_floats,
    } = run(specs).map_err(|e| refused(specs, e))?;
    let dynamic = match other_extents(specs) {
        None => HashSet::new(),
        Some(others) => match run(&others) {
            Ok(other) => differing(&dims, &other.dims),
            // Where no other extent runs, any may depend on it.
            Err(_) => all_axes(&dims),
        },
    };
    Ok(Observed {
        shapes: Shapes {
            dims,
            no_floats,
            dynamic,
            element_bytes,
        },
        stale_value_info,
    })
}

/// Whether ONNX Runtime refuses a model for its notes on inner values alone.
fn is_stale(runtime: &Runtime, model: &ModelProto, specs: &[InputSpec]) -> Result<bool> {
    let inputs = random_inputs(specs, 0, 1.0)?;
    let Err(first) = runtime.run_plain(&encode(model), &inputs) else {
        return Ok(false);
    };
    match runtime.run_plain(&encode(&without_value_info(model)), &inputs) {
        Ok(_) => Ok(true),
        Err(_) => Err(refused(specs, first)),
    }
}

/// A batch from which on runs of a few samples tell what it does.
const LARGE_BATCH: usize = 16;
/// Such runs.
const SMALL_BATCHES: [usize; 3] = [2, 3, 5];

/// The batches that are run in place of a large one, where the batch is all that is open.
fn batches(specs: &[InputSpec]) -> Option<[usize; 3]> {
    let mut open = specs.iter().filter(|s| !s.open.is_empty());
    let first = open.next()?;
    let batch = *first.dims.first()?;
    let alike = |s: &InputSpec| s.open == [0] && s.dims.first() == Some(&batch);
    (batch >= LARGE_BATCH && alike(first) && open.all(alike)).then_some(SMALL_BATCHES)
}

fn at_batch(specs: &[InputSpec], batch: usize) -> Vec<InputSpec> {
    let mut specs = specs.to_vec();
    for spec in specs.iter_mut().filter(|s| !s.open.is_empty()) {
        spec.dims[0] = batch;
    }
    specs
}

/// The shapes at a large batch, from runs at small ones; `None` where one does not run, or an extent is not linear in the batch.
fn at_small_batches(specs: &[InputSpec], run: &dyn Fn(&[InputSpec]) -> Result<Seen>) -> Option<Shapes> {
    let [low, middle, high] = batches(specs)?;
    let batch = specs.iter().find(|s| !s.open.is_empty())?.dims[0];
    let at = |batch| run(&at_batch(specs, batch)).ok();
    let (a, b, c) = (at(low)?, at(middle)?, at(high)?);
    let mut dims = HashMap::new();
    for (name, first) in &a.dims {
        let (second, third) = (b.dims.get(name)?, c.dims.get(name)?);
        if first.len() != second.len() || first.len() != third.len() {
            return None;
        }
        let extents = first.iter().zip(second).zip(third);
        let extents = extents.map(|((&x, &y), &z)| linear([(low, x), (middle, y), (high, z)], batch));
        dims.insert(name.clone(), extents.collect::<Option<Vec<usize>>>()?);
    }
    Some(Shapes {
        dynamic: differing(&a.dims, &b.dims),
        dims,
        no_floats: a.no_floats,
        element_bytes: a.element_bytes,
    })
}

/// The value at `at` of the line through three points; `None` where they lie on none.
fn linear([(a, x), (b, y), (c, z)]: [(usize, usize); 3], at: usize) -> Option<usize> {
    let slope = y.checked_sub(x)? / (b - a);
    let on = |place: usize| (slope * (place - a)).checked_add(x);
    (on(b) == Some(y) && on(c) == Some(z)).then(|| on(at)).flatten()
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
        for (axis, size) in dims.iter().enumerate() {
            if b.get(name).and_then(|d| d.get(axis)) != Some(size) {
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

fn refused(specs: &[InputSpec], error: Error) -> Error {
    match unsettled(specs, error) {
        Error::Session(e) if e.kind != SessionErrorKind::OutOfMemory => {
            Error::Model(format!("ONNX Runtime cannot run this model: ONNX Runtime: {e}"))
        }
        other => other,
    }
}

/// What a model says of its outputs' extents that a run showed to be otherwise.
pub fn wrong_outputs(model: &ModelProto, shapes: &Shapes) -> Vec<String> {
    let wrong = |output: &ValueInfoProto| {
        let Some(Kind::TensorType(tensor)) = output.r#type.as_ref()?.value.as_ref() else {
            return None;
        };
        let (declared, seen) = (&tensor.shape.as_ref()?.dim, shapes.dims.get(output.name())?);
        let fits = |(dim, &size): (&Dimension, &usize)| match dim.value {
            Some(Dim::DimValue(n)) if n > 0 => usize::try_from(n) == Ok(size),
            _ => true,
        };
        if declared.len() == seen.len() && declared.iter().zip(seen).all(fits) {
            return None;
        }
        let shown = declared.iter().map(|dim| match &dim.value {
            Some(Dim::DimValue(n)) => n.to_string(),
            Some(Dim::DimParam(symbol)) if !symbol.is_empty() => symbol.clone(),
            _ => "?".to_owned(),
        });
        Some(format!(
            "the file says that output '{}' has the extents [{}], but it has {seen:?}; the written model says the same as the file",
            output.name(),
            shown.collect::<Vec<_>>().join(", ")
        ))
    };
    model.graph.iter().flat_map(|g| &g.output).filter_map(wrong).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_follow_the_batch_on_a_line_or_not_at_all() {
        let at = |x, y, z| linear([(2, x), (3, y), (5, z)], 64);
        assert_eq!(at(2, 3, 5), Some(64));
        assert_eq!(at(7, 7, 7), Some(7));
        assert_eq!(at(5, 6, 8), Some(67));
        assert_eq!(at(8, 12, 20), Some(256));
        assert_eq!(at(1, 1, 2), None);
        assert_eq!(at(6, 4, 0), None);
    }
}
