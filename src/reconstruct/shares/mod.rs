//! Layers whose outputs become shares (scores of a detector, a mask), fitted to what users see of them.
//!
//! Least squares at places drawn alike hardly see what a detector finds: of thousands of places one or two hold something. So these layers are
//! fitted once more, by the divergence of shares, at all places where the original finds something and some of the others.

mod gather;
mod logistic;
mod moved;
mod seats;

use gather::Runs;
use logistic::Logistic;
use seats::seated;

use super::change::FitSamples;
use super::store::store;
use crate::Result;
use crate::device::Device;
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::score::{Objective, ObjectiveKind, Watch};

/// Layers with more columns, whose matrix takes long to solve, stay.
const MOST_COLUMNS: usize = 2304;

/// A model whose last layers were fitted so.
#[derive(Clone, Debug)]
pub struct SharesFitted {
    /// The model.
    pub proto: ModelProto,
    /// Layers with other weights.
    pub layers: usize,
    /// Layers whose outputs become shares.
    pub of: usize,
}

/// Fits the layers of `model` whose outputs become shares of its outputs; those of the original are wanted. `None` where it has none that can be told.
///
/// # Errors
/// When a model cannot be run.
pub fn fit_shares(
    device: &dyn Device,
    (original, model): (&ModelProto, &ModelProto),
    on: &FitSamples,
    objectives: &[Objective],
    (seed, watch): (u64, Watch),
) -> Result<Option<SharesFitted>> {
    let counted = |o: &Objective| !matches!(o.kind, ObjectiveKind::Classes { .. });
    if !objectives.iter().any(counted) || on.judge.is_empty() {
        return Ok(None);
    }
    let mut layers = seated(device, model, &on.data.run(on.runs.start).inputs)?;
    layers.retain(|s| s.layer.all_columns() <= MOST_COLUMNS);
    if layers.is_empty() {
        return Ok(None);
    }
    let runs = Runs {
        data: on.data,
        runs: on.runs.start..on.judge.end,
        seed,
    };
    let chosen = runs.chosen(device, original, (&layers, objectives))?;
    let examples = runs.examples(device, model, &layers, (chosen, on.runs.len()))?;
    let mut found = SharesFitted {
        proto: model.clone(),
        layers: 0,
        of: layers.len(),
    };
    for (k, (one, [fitting, judging])) in layers.iter().zip(&examples).enumerate() {
        (watch.progress)(k, layers.len());
        watch.limit.check()?;
        let layer = &one.layer;
        let graph = Graph::of(model)?;
        let Some(weights) = layer.weights(&graph).filter(|_| !watch.limit.is_up()) else {
            continue;
        };
        let (columns, bias) = (layer.columns(), layer.bias(&graph));
        let mut flat = Vec::new();
        for ((row, b), added) in weights.chunks_exact(columns.max(1)).zip(&bias).zip(&one.added) {
            flat.extend(row);
            flat.extend(layer.takes_bias.then_some(b + added));
        }
        let width = columns + usize::from(layer.takes_bias);
        let logistic = Logistic::new(layer.outputs, width, &one.groups, device.products());
        let Some(better) = logistic.fitted(&flat, fitting, judging)? else {
            continue;
        };
        let rows = better.chunks_exact(width.max(1));
        let weights: Vec<f32> = rows.clone().flat_map(|r| r.iter().take(columns)).copied().collect();
        let bias = rows.flat_map(|r| r.iter().skip(columns)).zip(&one.added);
        let bias: Vec<f32> = bias.map(|(b, added)| b - added).collect();
        let bias = layer.takes_bias.then_some(bias.as_slice());
        found.layers += usize::from(store(&mut found.proto, layer, &weights, bias)?);
    }
    (watch.progress)(layers.len(), layers.len());
    Ok(Some(found))
}
