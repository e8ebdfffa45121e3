//! A normalization by stored statistics: every channel is scaled and shifted.

use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph};

/// Whether a node is a `BatchNormalization` of the standard.
pub fn is_batch_norm(node: &NodeProto) -> bool {
    node.op_type() == "BatchNormalization" && node.is_standard()
}

/// `y = slope · x + offset` for every channel of axis 1.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelAffine {
    /// Factor of each channel.
    pub slope: Vec<f32>,
    /// What is subtracted from a channel before the factor: its stored mean.
    pub mean: Vec<f32>,
    /// What is added behind the factor.
    pub shift: Vec<f32>,
}

impl ChannelAffine {
    /// What a `BatchNormalization` (inference form) does; `None` for other nodes and where a parameter is not in the file.
    pub fn of(graph: &Graph, node: &NodeProto) -> Option<Self> {
        if !is_batch_norm(node) {
            return None;
        }
        let parameter = |i: usize| graph.stored(node.input.get(i)?)?.to_f32();
        let (scale, shift, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
        if [&shift, &mean, &variance].iter().any(|p| p.len() != scale.len()) {
            return None;
        }
        let epsilon = node.float("epsilon", 1e-5);
        let slope = scale
            .iter()
            .zip(&variance)
            .map(|(s, v)| s / (v + epsilon).sqrt())
            .collect();
        Some(Self { slope, mean, shift })
    }

    /// The constant term of every channel.
    pub fn offsets(&self) -> Vec<f32> {
        let parts = self.shift.iter().zip(&self.mean).zip(&self.slope);
        parts.map(|((shift, mean), slope)| shift - mean * slope).collect()
    }
}
