//! Opening a model: the file, its shapes, its channels.

use std::collections::BTreeMap;
use std::path::Path;

use super::scope::held;
use crate::channels::{Analysis, Constraint, analyze};
use crate::device::{InputSpec, Runtime, ShapeOptions, input_specs, observe, without_value_info, wrong_outputs};
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, Model, load_as};
use crate::profile::{LeftOut, layers, left_out};
use crate::{Error, Result};

/// Said of a file whose nodes were not in order.
pub const SORTED: &str = "the nodes of the file were not in order; they were sorted";

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
    /// The convolutions that are timed, by node index, ascending.
    pub timed: Vec<usize>,
    /// The layers that are not worked on.
    pub left_out: Vec<LeftOut>,
    /// The groups that stay because of them, though the graph leaves them free.
    pub held: BTreeMap<usize, Constraint>,
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

impl Opened {
    /// What multiply-accumulates are counted for: `sample`, or a whole `run` where it is not known how many samples that is.
    pub fn macs_per(&self) -> &'static str {
        let single = self.specs.iter().all(|s| s.dims.first().is_none_or(|&d| d == 1));
        if single || self.analysis.samples > 1 {
            "sample"
        } else {
            "run"
        }
    }
}

/// Loads a model, runs it once for its shapes, and relates its channels.
///
/// # Errors
/// When the file is not a model, its inputs cannot be settled, or ONNX Runtime cannot run it.
pub fn open(path: &Path, runtime: &Runtime, options: &ShapeOptions) -> Result<Opened> {
    let model = load_as(path, &options.reading)?;
    let named = |e: Error| match e {
        Error::Model(what) => Error::Model(format!("{}: {what}", path.display())),
        Error::SymbolicShapes(what) => Error::SymbolicShapes(format!("{}: {what}", path.display())),
        other => other,
    };
    let mut notes = Vec::new();
    if model.sorted {
        notes.push(SORTED.to_owned());
    }
    let specs = input_specs(&Graph::of(&model.proto).map_err(named)?, options).map_err(named)?;
    for spec in &specs {
        for (axis, symbol, dim) in &spec.assumed {
            if *axis > 0 {
                let shown = if symbol.is_empty() {
                    format!("axis {axis}")
                } else {
                    format!("'{symbol}'")
                };
                notes.push(format!(
                    "input '{}': {shown} is open; {dim} is assumed (set it with --shape or --dim)",
                    spec.name
                ));
            }
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
             prepare them; --fix-weights takes them out of the inputs (or export without keep_initializers_as_inputs)"
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
    let graph = Graph::of(&proto)?;
    let analysis = analyze(&graph, model.opset(), &observed.shapes)?;
    let left_out = left_out(&proto, &graph, &analysis);
    let mut opened = Opened {
        timed: layers(&graph, &analysis).iter().map(|l| l.node).collect(),
        held: held(&analysis, &left_out),
        left_out,
        model,
        proto,
        specs,
        analysis,
        notes,
    };
    opened.notes.extend(opened.left_out_text());
    Ok(opened)
}
