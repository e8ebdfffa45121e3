//! Predicted latency steps on a GPU that is not here.

use std::path::{Path, PathBuf};

use super::device::load_runtime;
use super::source::ModelSource;
use crate::device::{ShapeOptions, Stop};
use crate::profile::{CostModel, Multiprocessors, Problem, Profile, gpu, layers, tail_free};
use crate::{Error, Result};

/// Two predicted times are one step when they differ by less than this share.
const STEP: f64 = 0.01;
/// Kernels for matrix units take channels in such blocks; other widths are padded or run without them.
const BLOCK: usize = 8;

/// Settings of a prediction.
#[derive(Clone, Debug)]
pub struct WidthsSettings {
    /// The GPU's name.
    pub gpu: String,
    /// A recorded profile that the cost model is fitted to; `None`: the prices fitted to an H200.
    pub profile: Option<PathBuf>,
    /// The input shapes.
    pub shapes: ShapeOptions,
    /// Widths up to this many times the present one, and down to its inverse.
    pub reach: f64,
    /// ONNX Runtime's shared library; `None`: the one that is found.
    pub library: Option<PathBuf>,
}

/// Predicted tail-free widths of a model.
#[derive(Debug)]
pub struct PredictedWidths {
    /// The GPU's name.
    pub gpu: String,
    /// Its multiprocessors.
    pub multiprocessors: usize,
    /// The device that the cost model was fitted to.
    pub fitted_to: String,
    /// The layers in the order of the graph.
    pub layers: Vec<PredictedLayer>,
}

/// A layer's widths that are worth having.
#[derive(Debug)]
pub struct PredictedLayer {
    /// Its name.
    pub name: String,
    /// Its problem at the present width.
    pub problem: Problem,
    /// The right edges of predicted steps, and the present width: width and milliseconds. Empty for kinds of layers that are not known.
    pub widths: Vec<(usize, f64)>,
}

/// Predicts each layer's tail-free widths.
///
/// # Errors
/// When the GPU is not known, or the model or the profile cannot be read.
pub fn predict_widths(source: &ModelSource, settings: &WidthsSettings, stop: &Stop) -> Result<PredictedWidths> {
    let (name, device) =
        gpu(&settings.gpu).ok_or_else(|| Error::Usage(format!("'{}' is not a known GPU", settings.gpu)))?;
    let model = cost_model(settings.profile.as_deref())?.on(device.count);
    let opened = source.open(&load_runtime(settings.library.as_deref(), stop)?, &settings.shapes)?;
    let predicted = |layer: crate::profile::Layer| PredictedLayer {
        widths: predict(&model, &layer.problem, settings.reach),
        name: layer.name,
        problem: layer.problem,
    };
    Ok(PredictedWidths {
        gpu: name.to_owned(),
        multiprocessors: device.count,
        layers: layers(&opened.graph()?, &opened.analysis)
            .into_iter()
            .map(predicted)
            .collect(),
        fitted_to: model.device,
    })
}

fn predict(model: &CostModel, problem: &Problem, reach: f64) -> Vec<(usize, f64)> {
    let widths = problem.widths(BLOCK, reach).into_iter();
    let times: Option<Vec<(usize, f64)>> = widths
        .map(|w| Some((w, model.predict(&problem.with_output(w))?)))
        .collect();
    let times = times.unwrap_or_default();
    let free = tail_free(&times.iter().map(|t| t.1).collect::<Vec<_>>(), STEP);
    let kept = times
        .iter()
        .enumerate()
        .filter(|(i, t)| free.contains(i) || t.0 == problem.cout);
    kept.map(|(_, &t)| t).collect()
}

fn cost_model(profile: Option<&Path>) -> Result<CostModel> {
    let Some(file) = profile else {
        return CostModel::recorded();
    };
    let profile = Profile::read(file)?;
    let device = Multiprocessors::of(&profile.device)
        .ok_or_else(|| Error::Usage(format!("{} was not recorded on a CUDA device", file.display())))?;
    let records: Vec<_> = profile.records.iter().collect();
    Ok(CostModel::fit(&profile.device.name, device.count, &records))
}
