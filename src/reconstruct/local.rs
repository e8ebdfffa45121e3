//! A model with the weights that a ranking left: the compensation of one group alone.

use super::store::{drop_unread, store};
use crate::channels::{Analysis, IndexRemaps};
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::ops::LinearOp;
use crate::score::Compensated;
use crate::{Error, Result};

/// `pruned` with the compensated weights of some layers, cut as `remaps` says.
///
/// # Errors
/// When a layer is missing or its size does not fit.
pub fn with_compensated(
    mut pruned: ModelProto,
    graph: &Graph,
    analysis: &Analysis,
    remaps: &IndexRemaps,
    list: &[Compensated],
) -> Result<ModelProto> {
    let mut by_node: std::collections::BTreeMap<usize, Vec<&Compensated>> = Default::default();
    for one in list {
        by_node.entry(one.node).or_default().push(one);
    }
    for (node, parts) in by_node {
        let Some(old) = LinearOp::of(graph, node) else { continue };
        let (Some(mut weights), mut bias) = (old.weights(graph), old.bias(graph)) else {
            continue;
        };
        let (columns, per) = (old.columns(), old.group_outputs());
        for one in parts {
            for o in 0..per {
                let at = one.part * per + o;
                bias[at] += one.bias[o] as f32;
                for j in 0..columns {
                    weights[at * columns + j] = one.weights[(o, j)] as f32;
                }
            }
        }
        let (weights, bias, new) = cut(&pruned, analysis, remaps, &old, (&weights, &bias))?;
        let _stored = store(&mut pruned, &new, &weights, Some(&bias))?;
    }
    drop_unread(&mut pruned, graph);
    Ok(pruned)
}

/// Weights and bias of a layer of the original as the rewritten model has them, and the layer there.
fn cut(
    pruned: &ModelProto,
    analysis: &Analysis,
    remaps: &IndexRemaps,
    old: &LinearOp,
    (weights, bias): (&[f32], &[f32]),
) -> Result<(Vec<f32>, Vec<f32>, LinearOp)> {
    let graph = Graph::of(pruned)?;
    let at = graph.producer.get(old.output.as_str());
    let new = at.and_then(|&at| LinearOp::of(&graph, at));
    let new =
        new.ok_or_else(|| Error::Plan(format!("the rewritten model has no layer that makes '{}'", old.output)))?;
    let dependencies = &analysis.dependencies;
    let order = |name: &str, width: usize| -> Vec<Option<usize>> {
        let id = dependencies.by_name(name);
        let remap = id.and_then(|id| remaps.get(id, old.channel_axis(dependencies.dims(id).len())));
        remap.map_or_else(|| (0..width).map(Some).collect(), |e| e.gather())
    };
    let inputs = order(&old.input, old.input_channels());
    let outputs = order(&old.output, old.outputs);
    if inputs.len() != new.input_channels() || outputs.len() != new.outputs {
        return Err(Error::Plan(format!(
            "the layer that makes '{}' has another size",
            old.output
        )));
    }
    let mut rows = vec![0.0; new.outputs * new.columns()];
    for (o, from) in outputs.iter().enumerate() {
        let Some(from) = from else { continue };
        let part = o / new.group_outputs();
        for i in 0..new.inputs {
            let Some(channel) = inputs[part * new.inputs + i] else {
                continue;
            };
            let source = from * old.columns() + channel % old.inputs * old.taps;
            let to = o * new.columns() + i * new.taps;
            rows[to..to + new.taps].copy_from_slice(&weights[source..source + old.taps]);
        }
    }
    let bias = outputs.iter().map(|o| o.map_or(0.0, |o| bias[o])).collect();
    Ok((rows, bias, new))
}
