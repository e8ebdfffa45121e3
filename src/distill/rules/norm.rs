//! Normalizations: by stored statistics, and softmax.

use super::super::tape::{Products, Tape};
use crate::onnx::Attributes;
use crate::onnx::Tensor;
use crate::onnx::proto::NodeProto;

/// `BatchNormalization` with stored means and variances: y = γ (x − μ) / √(σ² + ε) + β.
pub fn batch_norm(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    if node.int("training_mode", 0) != 0 {
        return None;
    }
    let stored = |tape: &Tape, i: usize| tape.graph.stored(node.input.get(i)?)?.to_f32();
    let (mean, variance) = (stored(tape, 3)?, stored(tape, 4)?);
    let x = tape.input_dims(node, 0)?;
    let (rank, channels) = (x.len(), mean.len());
    if rank < 2 || x[1] != channels || variance.len() != channels {
        return None;
    }
    let epsilon = node.float("epsilon", 1e-5);
    let mut per_channel = vec![1; rank];
    per_channel[1] = channels;
    let inverse: Vec<f32> = variance.iter().map(|v| 1.0 / (v + epsilon).sqrt()).collect();
    let inverse = tape.builder.constant(&Tensor::from_f32(per_channel.clone(), &inverse));
    let axes: Vec<i64> = (0..rank as i64).filter(|&a| a != 1).collect();
    let axes = tape.builder.ints(&axes);
    let mut found = Vec::new();
    if tape.wants(node, 0) {
        let extents: Vec<i64> = per_channel.iter().map(|&d| d as i64).collect();
        let scale = tape.builder.reshape(node.input.get(1)?, &extents);
        let slope = tape.builder.op("Mul", &[&scale, &inverse], &[]);
        found.push((0, tape.builder.op("Mul", &[dy, &slope], &[])));
    }
    if tape.wants(node, 1) {
        let mean = tape.builder.constant(&Tensor::from_f32(per_channel, &mean));
        let centred = tape.builder.op("Sub", &[node.input.first()?, &mean], &[]);
        let normal = tape.builder.op("Mul", &[&centred, &inverse], &[]);
        let product = tape.builder.op("Mul", &[dy, &normal], &[]);
        let sum = tape.builder.op("ReduceSum", &[&product, &axes], &[("keepdims", &[0])]);
        found.push((1, sum));
    }
    if tape.wants(node, 2) {
        found.push((2, tape.builder.op("ReduceSum", &[dy, &axes], &[("keepdims", &[0])])));
    }
    Some(found)
}

/// `Softmax` along one axis: y (dy − Σ y dy). Before version 13 it took all axes from its own on together.
pub fn softmax(tape: &mut Tape, node: &NodeProto, dy: &str) -> Option<Products> {
    let rank = tape.input_dims(node, 0)?.len() as i64;
    let axis = node.int("axis", if tape.opset < 13 { 1 } else { -1 });
    let axis = if axis < 0 { axis + rank } else { axis };
    let axes: Vec<i64> = if tape.opset < 13 {
        (axis..rank).collect()
    } else {
        vec![axis]
    };
    let axes = tape.builder.ints(&axes);
    let y = node.output.first()?;
    let product = tape.builder.op("Mul", &[dy, y], &[]);
    let sum = tape.builder.op("ReduceSum", &[&product, &axes], &[("keepdims", &[1])]);
    let apart = tape.builder.op("Sub", &[dy, &sum], &[]);
    Some(vec![(0, tape.builder.op("Mul", &[&apart, y], &[]))])
}
