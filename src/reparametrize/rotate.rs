//! A trunk in another basis: exact at full width.

use faer::Mat;

use super::basis::Basis;
use super::covariances::Covariances;
use super::trunk::{Producer, Trunk};
use crate::onnx::proto::ModelProto;
use crate::onnx::{Attributes, Graph, Tensor};
use crate::ops::{ChannelAffine, LinearOp};
use crate::reconstruct::store;
use crate::{Error, Result};

impl Trunk {
    /// The basis of its directions, from the covariances of the values that its layers read. Each reader counts by the share of its
    /// output's variance. `None` where a covariance is not known.
    pub fn basis(&self, graph: &Graph, covariances: &Covariances) -> Option<Basis> {
        let n = self.width;
        let (mut pooled, mut importance) = (Mat::<f64>::zeros(n, n), Mat::<f64>::zeros(n, n));
        let read = self.read(graph);
        for (name, _) in &read {
            pooled += covariances.of(name).filter(|c| c.nrows() == n)?;
        }
        pooled *= faer::Scale(1.0 / read.len().max(1) as f64);
        for layer in &self.consumers {
            let square = squared_weights(layer, &layer.weights(graph)?, n);
            let own = covariances.of(&layer.input)?;
            let variance: f64 = (0..n)
                .map(|i| (0..n).map(|j| square[(i, j)] * own[(j, i)]).sum::<f64>())
                .sum();
            if variance > 0.0 && variance.is_finite() {
                importance += faer::Scale(1.0 / variance) * &square;
            }
        }
        Basis::new(&pooled, &importance)
    }
}

/// WᵀW over the outputs and taps of a layer: inputs × inputs.
fn squared_weights(layer: &LinearOp, weights: &[f32], inputs: usize) -> Mat<f64> {
    let rows = layer.outputs * layer.taps;
    let (columns, taps) = (layer.columns(), layer.taps);
    let by_tap = Mat::from_fn(rows, inputs, |r, i| {
        f64::from(weights[r / taps * columns + i * taps + r % taps])
    });
    by_tap.transpose() * &by_tap
}

/// Puts a trunk into a basis: its producers make directions, its consumers read them. A BatchNormalization behind a producer goes into
/// the layer, and adds nothing but the offset from then on. `false`, with nothing changed, where new weights are no numbers.
///
/// # Errors
/// When the model does not hold the trunk.
pub fn rotate(model: &mut ModelProto, trunk: &Trunk, basis: &Basis) -> Result<bool> {
    let mut changed = model.clone();
    for producer in &trunk.producers {
        if !rotate_producer(&mut changed, producer, basis)? {
            return Ok(false);
        }
    }
    for layer in &trunk.consumers {
        let weights = {
            let graph = Graph::of(&changed)?;
            let Some(old) = layer.weights(&graph) else {
                return Ok(false);
            };
            let (columns, taps) = (layer.columns(), layer.taps);
            let by_tap = Mat::from_fn(layer.outputs * taps, layer.inputs, |r, i| {
                f64::from(old[r / taps * columns + i * taps + r % taps])
            });
            let new = by_tap * &basis.back;
            let mut weights = vec![0.0; old.len()];
            for r in 0..new.nrows() {
                for i in 0..layer.inputs {
                    weights[r / taps * columns + i * taps + r % taps] = new[(r, i)] as f32;
                }
            }
            weights
        };
        if !store(&mut changed, layer, &weights, None)? {
            return Ok(false);
        }
    }
    *model = changed;
    Ok(true)
}

/// Makes a layer give out directions.
fn rotate_producer(model: &mut ModelProto, producer: &Producer, basis: &Basis) -> Result<bool> {
    let layer = &producer.layer;
    let (outputs, columns) = (layer.outputs, layer.columns());
    let (weights, offsets, has_bias) = {
        let graph = Graph::of(model)?;
        let Some(old) = layer.weights(&graph) else {
            return Ok(false);
        };
        let bias = layer.bias(&graph);
        let affine = match producer.norm {
            None => None,
            Some(norm) => match ChannelAffine::of(&graph, &graph.proto.node[norm]) {
                Some(affine) => Some((affine.slope.clone(), affine.offsets())),
                None => return Ok(false),
            },
        };
        let slope = |o: usize| affine.as_ref().map_or(1.0, |a| f64::from(a.0[o]));
        let offset = |o: usize| affine.as_ref().map_or(0.0, |a| f64::from(a.1[o]));
        let scaled = Mat::from_fn(outputs, columns, |o, j| slope(o) * f64::from(old[o * columns + j]));
        let constant = Mat::from_fn(outputs, 1, |o, _| slope(o) * f64::from(bias[o]) + offset(o));
        let (new, offsets) = (&basis.into * scaled, &basis.into * constant);
        let weights: Vec<f32> = (0..outputs * columns)
            .map(|k| new[(k / columns, k % columns)] as f32)
            .collect();
        let offsets: Vec<f32> = (0..outputs).map(|o| offsets[(o, 0)] as f32).collect();
        let node = &graph.proto.node[layer.node];
        let has_bias = node.input.get(2).is_some_and(|n| !n.is_empty());
        (weights, offsets, has_bias)
    };
    let Some(norm) = producer.norm else {
        let none = offsets.iter().all(|&v| v == 0.0);
        if !layer.takes_bias && !none {
            return Ok(false);
        }
        let bias = (has_bias || !none).then_some(offsets.as_slice());
        return store(model, layer, &weights, bias);
    };
    let zeros = vec![0.0; outputs];
    if !store(model, layer, &weights, has_bias.then_some(zeros.as_slice()))? {
        return Ok(false);
    }
    let graph = model
        .graph
        .as_ref()
        .ok_or_else(|| Error::Model("the model has no graph".to_owned()))?;
    let epsilon = graph.node[norm].float("epsilon", 1e-5);
    let unit = (1.0 + f64::from(epsilon)).sqrt() as f32;
    let ones = vec![1.0; outputs];
    for (input, values) in [(1, vec![unit; outputs]), (2, offsets), (3, zeros), (4, ones)] {
        if values.iter().any(|v| !v.is_finite()) {
            return Ok(false);
        }
        place(model, norm, input, &values)?;
    }
    Ok(true)
}

/// Gives a node a constant of its own.
fn place(model: &mut ModelProto, node: usize, input: usize, values: &[f32]) -> Result<()> {
    let name = {
        let graph = Graph::of(model)?;
        let old = graph.proto.node[node].input.get(input).cloned().unwrap_or_default();
        let free =
            |n: &String| !graph.initializers.contains_key(n.as_str()) && !graph.producer.contains_key(n.as_str());
        (1..)
            .map(|k| format!("{old}.rotated{k}"))
            .find(free)
            .unwrap_or_default()
    };
    if let Some(graph) = model.graph.as_mut() {
        let tensor = Tensor::from_f32(vec![values.len()], values).to_proto(&name);
        graph.initializer.push(tensor);
        if let Some(old) = graph.node[node].input.get_mut(input) {
            *old = name;
        }
    }
    Ok(())
}
