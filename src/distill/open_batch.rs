//! Models that were exported for one sample, with as many as a step has: a device makes few large runs sooner than many small ones.

use std::collections::HashMap;

use crate::Result;
use crate::device::{Device, NamedTensor};
use crate::onnx::proto::{
    ModelProto, TypeProto, tensor_shape_proto::dimension::Value as Dim, type_proto::Value as Kind,
};
use crate::onnx::{Dtype, Graph, Tensor, encode};

/// Runs that are joined to see whether each still gives what it gives alone.
pub(super) const TRIED: usize = 3;
/// The most that a sample's outputs may differ then, squared, over their own variance: other algorithms round otherwise, while samples that are mixed
/// differ by as much as samples do.
const DIFFERENT: f64 = 1e-4;

/// The model with an open first axis of all inputs (N×…), where it then computes every sample of `runs` as it does alone; `None` where it does not.
///
/// # Errors
/// When the model as it is cannot be run.
pub fn open_batch(device: &dyn Device, model: &ModelProto, runs: &[Vec<NamedTensor>]) -> Result<Option<ModelProto>> {
    let Some(joined) = joined(runs).filter(|_| runs.len() > 1) else {
        return Ok(None);
    };
    let Some(open) = opened(model)? else { return Ok(None) };
    // What the device does not run so, it runs as it was.
    let Ok(mut runner) = device.runner(&encode(&open)) else {
        return Ok(None);
    };
    let Ok(together) = runner.run_tensors(&joined) else {
        return Ok(None);
    };
    drop(runner);
    let mut alone = device.runner(&encode(model))?;
    for (k, inputs) in runs.iter().enumerate() {
        for (name, own) in alone.run_tensors(inputs)? {
            let among = together.iter().find(|(n, _)| *n == name);
            if !among.is_some_and(|(_, all)| holds(all, &own, k, runs.len())) {
                return Ok(None);
            }
        }
    }
    Ok(Some(open))
}

/// Several runs as one.
fn joined(runs: &[Vec<NamedTensor>]) -> Option<Vec<NamedTensor>> {
    let (first, others) = runs.split_first()?;
    let mut all = first.clone();
    for run in others {
        for ((name, into), (other, tensor)) in all.iter_mut().zip(run) {
            let (samples, dims) = into.dims.split_first()?;
            let (more, same) = tensor.dims.split_first()?;
            if name != other || dims != same || into.dtype != tensor.dtype {
                return None;
            }
            into.dims = [&[samples + more], dims].concat();
            into.bytes = [&into.bytes[..], &tensor.bytes[..]].concat().into();
        }
    }
    Some(all)
}

/// Whether part `k` of `parts` is what it is alone.
fn holds(all: &Tensor, own: &Tensor, k: usize, parts: usize) -> bool {
    let Some(((whole, dims), (samples, same))) = all.dims.split_first().zip(own.dims.split_first()) else {
        return false;
    };
    if *whole != samples * parts || dims != same || all.dtype != own.dtype {
        return false;
    }
    let part = |bytes: usize| k * bytes..(k + 1) * bytes;
    if own.dtype != Dtype::Float {
        return all.bytes.get(part(own.bytes.len())) == Some(&own.bytes[..]);
    }
    let (Some(all), Some(own)) = (all.to_f32(), own.to_f32()) else {
        return false;
    };
    let Some(part) = all.get(part(own.len())) else {
        return false;
    };
    let mean = own.iter().map(|&v| f64::from(v)).sum::<f64>() / own.len().max(1) as f64;
    let spread: f64 = own.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
    let error: f64 = own
        .iter()
        .zip(part)
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
        .sum();
    error <= DIFFERENT * spread
}

/// The model with open extents, and with those of `Reshape` that hold the number of samples left to what there is.
fn opened(model: &ModelProto) -> Result<Option<ModelProto>> {
    let graph = Graph::of(model)?;
    let mut shapes: HashMap<usize, (String, Tensor)> = HashMap::new();
    for (k, node) in graph.proto.node.iter().enumerate() {
        let shape = node.input.get(1).filter(|_| node.op_type() == "Reshape");
        let Some(extents) = shape.and_then(|name| graph.constant(name)).and_then(|t| t.to_i64()) else {
            continue;
        };
        let Some(open) = open_shape(extents) else { continue };
        let mut name = format!("{}/open", node.input[1]);
        while graph.stored(&name).is_some() || graph.producer.contains_key(name.as_str()) {
            name.push('_');
        }
        name.push_str(&k.to_string());
        shapes.insert(k, (name, Tensor::from_i64(&open)));
    }
    let fed: Vec<String> = graph.real_inputs().into_iter().map(str::to_owned).collect();
    let mut copy = model.clone();
    let Some(graph) = copy.graph.as_mut() else {
        return Ok(None);
    };
    for (k, (name, shape)) in shapes {
        if let Some(input) = graph.node.get_mut(k).and_then(|n| n.input.get_mut(1)) {
            input.clone_from(&name);
        }
        let mut proto = crate::onnx::proto::TensorProto {
            name: Some(name),
            ..Default::default()
        };
        shape.store(&mut proto);
        graph.initializer.push(proto);
    }
    for input in graph.input.iter_mut().filter(|v| fed.iter().any(|f| f == v.name())) {
        let Some(Kind::TensorType(tensor)) = input.r#type.as_mut().and_then(|t| t.value.as_mut()) else {
            return Ok(None);
        };
        let Some(samples) = tensor.shape.as_mut().and_then(|s| s.dim.first_mut()) else {
            return Ok(None);
        };
        samples.value = Some(Dim::DimParam("samples".to_owned()));
    }
    for output in &mut graph.output {
        if let Some(TypeProto {
            value: Some(Kind::TensorType(tensor)),
            ..
        }) = &mut output.r#type
        {
            tensor.shape = None;
        }
    }
    graph.value_info.clear();
    Ok(Some(copy))
}

/// A shape whose first extent is what there is; `None` where another one is left open already.
fn open_shape(mut extents: Vec<i64>) -> Option<Vec<i64>> {
    let open = extents.contains(&-1);
    match extents.first_mut()? {
        // Copied from the input, whose first axis is that of samples, too.
        first @ 1 if open => *first = 0,
        _ if open => return None,
        first => *first = -1,
    }
    Some(extents)
}

#[cfg(test)]
mod tests {
    use super::{holds, joined, open_shape};
    use crate::onnx::Tensor;

    #[test]
    fn shapes_leave_the_number_of_samples_to_what_there_is() {
        assert_eq!(open_shape(vec![1, 1001]), Some(vec![-1, 1001]));
        assert_eq!(open_shape(vec![1, 85, -1]), Some(vec![0, 85, -1]));
        assert_eq!(open_shape(vec![24, 2, 1936]), Some(vec![-1, 2, 1936]));
        assert_eq!(open_shape(vec![2, -1, 24, 44, 44]), None);
        assert_eq!(open_shape(vec![]), None);
    }

    #[test]
    fn runs_are_joined_and_found_again() -> crate::Result<()> {
        let run = |v: [f32; 4]| vec![("x".to_owned(), Tensor::from_f32(vec![1, 2, 2], &v))];
        let runs = [run([1.0, 2.0, 3.0, 4.0]), run([4.0, 3.0, 2.0, 0.0])];
        let all = joined(&runs).unwrap_or_default();
        let Some((_, both)) = all.first() else {
            return Err(crate::Error::Model("no inputs".to_owned()));
        };
        assert_eq!(both.dims, vec![2, 2, 2]);
        for (k, own) in runs.iter().enumerate() {
            assert!(holds(both, &own[0].1, k, 2) && !holds(both, &own[0].1, 1 - k, 2));
        }
        // A nearly constant output holds by its spread, not by its size.
        let (a, b) = (
            Tensor::from_f32(vec![1, 2], &[100.0, 101.0]),
            Tensor::from_f32(vec![1, 2], &[101.0, 100.0]),
        );
        assert!(holds(&a, &a, 0, 1) && !holds(&a, &b, 0, 1));
        Ok(())
    }
}
