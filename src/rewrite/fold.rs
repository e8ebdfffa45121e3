//! Constants of removed channels, added to the bias of the layers that read them.

use crate::channels::{Analysis, IndexRemaps};
use crate::onnx::proto::{GraphProto, TensorProto};
use crate::onnx::{Dtype, Graph, Tensor, constant_of};
use crate::plan::Fold;
use crate::{Error, Result};

/// Adds each fold to its node's bias, which is cut and padded already (`added` holds new constants).
pub(super) fn fold_biases(
    target: &mut GraphProto,
    graph: &Graph,
    analysis: &Analysis,
    remaps: &IndexRemaps,
    folds: &[Fold],
    added: &mut Vec<TensorProto>,
) -> Result<()> {
    for fold in folds {
        let node = &graph.proto.node[fold.node];
        let fail = || {
            Error::Plan(format!(
                "the bias of {} cannot take a constant",
                crate::onnx::label(node, fold.node)
            ))
        };
        let y = node
            .output
            .first()
            .and_then(|n| analysis.dependencies.by_name(n))
            .ok_or_else(fail)?;
        let addends: Vec<f32> = match remaps.get(y, 1) {
            Some(remap) => remap
                .gather()
                .into_iter()
                .map(|s| s.map_or(0.0, |i| fold.bias[i]))
                .collect(),
            None => fold.bias.clone(),
        };
        let find = |name: &str| target.initializer.iter().chain(added.iter()).find(|t| t.name() == name);
        let weights = graph
            .stored(node.input.get(1).map_or("", String::as_str))
            .ok_or_else(fail)?;
        let present = target.node[fold.node].input.get(2).filter(|n| !n.is_empty());
        let before: Vec<f32> = match present {
            Some(name) => {
                let mut name = name;
                let producer = |name: &str| graph.producer.get(name).map(|&n| &target.node[n]);
                while let Some(node) = producer(name).filter(|n| n.op_type() == "Identity") {
                    name = node.input.first().ok_or_else(fail)?;
                }
                let made = find(name)
                    .map(Tensor::read)
                    .transpose()?
                    .or_else(|| constant_of(producer(name)?));
                made.and_then(|t| t.to_f32()).ok_or_else(fail)?
            }
            None => vec![0.0; addends.len()],
        };
        if before.len() != addends.len() {
            return Err(fail());
        }
        let sums: Vec<f32> = before.iter().zip(&addends).map(|(a, b)| a + b).collect();
        if !matches!(weights.dtype, Dtype::Float | Dtype::Float16) {
            return Err(fail());
        }
        let tensor = Tensor::from_f32(vec![sums.len()], &sums).cast(weights.dtype);
        let mut name = format!("snapprune.{}.bias", fold.node);
        while find(&name).is_some() || graph.producer.contains_key(name.as_str()) {
            name.push('_');
        }
        added.push(tensor.to_proto(&name));
        let inputs = &mut target.node[fold.node].input;
        inputs.resize(inputs.len().max(3), String::new());
        inputs[2] = name;
    }
    Ok(())
}
