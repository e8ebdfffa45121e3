//! Opening a model: the file, its shapes, its channels.

use std::path::Path;

use crate::channels::{Analysis, analyze};
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, Model, load};
use crate::target::{InputSpec, Runtime, ShapeOptions, input_specs, observe, without_value_info};
use crate::{Error, Result};

/// A model with what was found out about it.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub model: Model,
    /// The message that is worked on: the file's, without notes on inner values if those were wrong.
    pub proto: ModelProto,
    /// The inputs with settled shapes.
    pub specs: Vec<InputSpec>,
    /// The channels.
    pub analysis: Analysis,
    /// What the user should know about the file.
    pub notes: Vec<String>,
}

impl Opened {
    /// Look-ups over the message that is worked on.
    ///
    /// # Errors
    /// None for an opened model.
    pub fn graph(&self) -> Result<Graph<'_>> {
        Graph::of(&self.proto)
    }
}

/// Loads a model, runs it once for its shapes, and relates its channels.
///
/// # Errors
/// When the file is not a model, its inputs cannot be settled, or ONNX Runtime cannot run it.
pub fn open(path: &Path, runtime: &Runtime, options: &ShapeOptions) -> Result<Opened> {
    let model = load(path)?;
    let named = |e: Error| match e {
        Error::Model(what) => Error::Model(format!("{}: {what}", path.display())),
        other => other,
    };
    let mut notes = Vec::new();
    let specs = input_specs(&Graph::of(&model.proto).map_err(named)?, options).map_err(named)?;
    for spec in &specs {
        for (axis, symbol, extent) in &spec.assumed {
            if *axis > 0 {
                let shown = if symbol.is_empty() {
                    format!("axis {axis}")
                } else {
                    format!("'{symbol}'")
                };
                notes.push(format!(
                    "input '{}': {shown} is open; {extent} is assumed (set it with --shape or --dim)",
                    spec.name
                ));
            }
        }
    }
    let observed = observe(runtime, &model.proto, &specs).map_err(named)?;
    let mut proto = model.proto.clone();
    if observed.stale_value_info {
        notes.push(
            "the file's notes on inner shapes are wrong (ONNX Runtime refuses them); they are left out".to_owned(),
        );
        proto = without_value_info(&proto);
    }
    if model.external {
        notes.push("weights in other files are read; the written model holds its weights itself".to_owned());
    }
    let analysis = analyze(&Graph::of(&proto)?, model.opset(), &observed.shapes)?;
    Ok(Opened {
        model,
        proto,
        specs,
        analysis,
        notes,
    })
}
