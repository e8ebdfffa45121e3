//! Opening a model: the file, its shapes, its channels.

use std::path::Path;

use super::opened::Opened;
use super::scope::{held, in_floats_text, never_lossy};
use crate::channels::{ChannelChange, Shapes, analyze};
use crate::device::{
    InputSpec, Runtime, ShapeOptions, constant_weights, input_specs, observe, without_value_info, wrong_outputs,
};
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, Model, constants_to_readers, load_as};
use crate::plan::{Metric, PerMetric, count};
use crate::profile::{layers, left_out, quantized_layers};
use crate::{Error, Result};

/// Said of a file whose nodes were not in order.
pub const SORTED: &str = "the nodes of the file were not in order; they were sorted";

/// Loads a model, runs it once for its shapes, and relates its channels.
///
/// # Errors
/// When the file is not a model, its inputs cannot be settled, or ONNX Runtime cannot run it.
pub fn open(path: &Path, runtime: &Runtime, options: &ShapeOptions) -> Result<Opened> {
    let mut model = load_as(path, &options.reading)?;
    let named = |e: Error| e.in_model(path);
    let mut notes = Vec::new();
    if let Some(constant) = constant_weights(runtime, &model.proto) {
        model.proto = constant.proto;
        notes.push(format!(
            "{} weights and biases that the file quantizes, converts or turns are stored as integers in the written model, as ONNX Runtime \
             computes them, and in the original that it is compared with",
            constant.count
        ));
    }
    constants_to_readers(&mut model.proto)?;
    if model.sorted {
        notes.push(SORTED.to_owned());
    }
    let specs = input_specs(&Graph::of(&model.proto).map_err(named)?, options).map_err(named)?;
    for spec in &specs {
        for dim in spec.assumed.iter().filter(|dim| dim.axis > 0) {
            let shown = match dim.symbol.as_str() {
                "" => format!("axis {}", dim.axis),
                symbol => format!("'{symbol}'"),
            };
            notes.push(format!(
                "input '{}': {shown} is open; {} is assumed, as no shape is given",
                spec.name, dim.size
            ));
        }
    }
    let observed = observe(runtime, &model.proto, &specs).map_err(named)?;
    notes.extend(wrong_outputs(&model.proto, &observed.shapes));
    let mut proto = model.proto.clone();
    if observed.stale_value_info {
        notes.push(
            "the file's notes on inner shapes are wrong (ONNX Runtime refuses them); they are left out".to_owned(),
        );
        proto = without_value_info(&proto);
    }
    let replaceable = Graph::of(&model.proto)?.replaceable.len();
    if replaceable > 0 {
        notes.push(format!(
            "{replaceable} weights are graph inputs too, which callers may replace, so that they stay as they are and ONNX Runtime does not \
             prepare them; they can be fixed as constants (or export without keep_initializers_as_inputs)"
        ));
    }
    if model.fixed > 0 {
        notes.push(format!(
            "{} weights were graph inputs too; they are constants in the written model, and in the original that it is compared with",
            model.fixed
        ));
    }
    if model.external {
        notes.push("weights in other files are read; the written model holds its weights itself".to_owned());
    }
    let mut opened = related(model, proto, specs, observed.shapes)?;
    notes.extend(opened.left_out_text());
    notes.extend(in_floats_text(&opened.quantized));
    opened.notes = notes;
    Ok(opened)
}

/// Relates the channels of a message whose shapes are known.
///
/// # Errors
/// When the graph cannot be followed.
pub(super) fn related(model: Model, proto: ModelProto, specs: Vec<InputSpec>, shapes: Shapes) -> Result<Opened> {
    let graph = Graph::of(&proto)?;
    let analysis = analyze(&graph, model.opset(), &shapes)?;
    let left_out = left_out(&proto, &graph, &analysis);
    let mut counted = PerMetric::default();
    for metric in Metric::counted() {
        counted[metric] = count(metric, &proto, &graph, &analysis, &ChannelChange::default())?;
    }
    Ok(Opened {
        counted,
        timed: layers(&graph, &analysis).iter().map(|l| l.node).collect(),
        held: held(&analysis, &left_out),
        left_out,
        never_lossy: never_lossy(&graph, &analysis),
        quantized: quantized_layers(&graph),
        equal_to: None,
        model,
        proto,
        specs,
        analysis,
        shapes,
        notes: Vec::new(),
    })
}
