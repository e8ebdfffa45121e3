//! The jobs. Flags come as on the command line; models as a path or as bytes; reports go back as JSON and HTML.

use std::path::PathBuf;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::errors::raised;
use super::run::{Called, run, run_judged};
use crate::device::{ShapeOptions, input_specs};
use crate::flags::{self, Command, CommandLine, add_hints, declined_reason, goal_flags, typed};
use crate::jobs::{self, ModelSource, Naming, optimize_model, plan_model, profile_model};
use crate::onnx::{Graph, Weights, parse, save_model};
use crate::report::profile_json;
use crate::{Error, Result};

/// A model as Python gives it: a path, or a name and bytes.
#[derive(FromPyObject)]
pub(super) enum Given {
    Path(std::path::PathBuf),
    Bytes(String, Vec<u8>),
}

impl Given {
    fn source(&self) -> Result<ModelSource> {
        match self {
            Self::Path(path) => ModelSource::of(path),
            Self::Bytes(name, bytes) => ModelSource::of_bytes(bytes, name),
        }
    }
}

/// Flags, after the command's name.
fn parsed(args: Vec<String>) -> Result<CommandLine> {
    Ok(flags::parsed(std::iter::once("snapprune".to_owned()).chain(args))?.0)
}

/// The flags of one command.
fn flags_of<T>(py: Python<'_>, args: Vec<String>, of: impl FnOnce(Option<Command>) -> Option<T>) -> PyResult<T> {
    let args = parsed(args).map_err(|e| raised(py, &e))?;
    of(args.command).ok_or_else(wrong_command)
}

fn wrong_command() -> PyErr {
    PyTypeError::new_err("these are the flags of another command")
}

/// Name, extents (0 where they are open) and element type of every input.
#[pyfunction]
pub(super) fn inputs(py: Python<'_>, model: Given) -> PyResult<Vec<(String, Vec<usize>, String)>> {
    let found = || -> Result<_> {
        let source = model.source()?;
        let bytes = std::fs::read(&source.path).map_err(|e| Error::file(&source.path, e))?;
        let model = parse(bytes)?;
        input_specs(&Graph::of(&model.proto)?, &ShapeOptions::default())
    };
    let specs = found().map_err(|e| raised(py, &e))?;
    let row = |s: crate::device::InputSpec| {
        let dim = |(i, n): (usize, &usize)| if s.open.contains(&i) { 0 } else { *n };
        let dims = s.dims.iter().enumerate().map(dim).collect();
        (s.name, dims, s.dtype.as_str_name().to_lowercase())
    };
    Ok(specs.into_iter().map(row).collect())
}

/// A model's bytes, if there are any.
type ModelBytes = Option<Py<PyBytes>>;

fn bytes(py: Python<'_>, model: Option<&Vec<u8>>) -> ModelBytes {
    model.map(|m| PyBytes::new(py, m).unbind())
}

/// Writes a model, with its weights in a file beside it where that is asked for or needed; the files.
#[pyfunction]
pub(super) fn save(
    py: Python<'_>,
    path: PathBuf,
    model: &[u8],
    beside: bool,
    threshold: usize,
) -> PyResult<Vec<PathBuf>> {
    let saved = save_model(&path, model, Weights { beside, threshold }).map_err(|e| raised(py, &e))?;
    Ok(saved.into_iter().rev().map(|s| s.path).collect())
}

/// The main job: static model, dynamic model, JSON and HTML.
#[pyfunction]
#[pyo3(signature = (model, args, progress=None, metric=None))]
pub(super) fn optimize(
    py: Python<'_>,
    model: Given,
    args: Vec<String>,
    progress: Option<Py<PyAny>>,
    metric: Option<Py<PyAny>>,
) -> PyResult<(ModelBytes, ModelBytes, String, String)> {
    let flags = args.clone();
    let args = parsed(args).map_err(|e| raised(py, &e))?;
    if args.command.is_some() {
        return Err(wrong_command());
    }
    let main = args.main;
    let called = Called {
        progress: progress.as_ref(),
        metric: metric.as_ref(),
    };
    let mut done = run_judged(py, called, move |stop, reporter, metric| {
        let source = model.source()?;
        let command = typed(std::iter::once(source.file_name()).chain(flags));
        let written = source.file_name();
        let written = format!("{}.snap.onnx", written.trim_end_matches(".onnx"));
        let naming = Naming {
            command: &command,
            written: &written,
            goal: goal_flags,
        };
        let mut settings = main.settings()?;
        settings.options.metric = metric.or(settings.options.metric);
        optimize_model(settings.context(stop)?, &source, &settings, naming, reporter)
    })?;
    add_hints(&mut done.json, &done.outcome);
    let gated = done.outcome.dynamic.as_ref().and_then(|d| d.model.as_ref());
    Ok((
        bytes(py, done.outcome.model.as_ref()),
        bytes(py, gated),
        done.json.to_string(),
        done.html,
    ))
}

/// Nodes and latency steps: the profile's file, the report as JSON, and HTML.
#[pyfunction]
#[pyo3(signature = (model, args, progress=None))]
pub(super) fn profile(
    py: Python<'_>,
    model: Given,
    args: Vec<String>,
    progress: Option<Py<PyAny>>,
) -> PyResult<(String, String, String)> {
    let args = flags_of(py, args, |command| match command {
        Some(Command::Profile(args)) => Some(args),
        _ => None,
    })?;
    let done = run(py, progress.as_ref(), move |stop, reporter| {
        profile_model(&model.source()?, &args.settings()?, stop, reporter)
    })?;
    let report = profile_json(&done.profile.device, done.roofline.as_ref(), &done.latency_steps);
    Ok((done.profile.text(), report.to_string(), done.html))
}

/// The plan as JSON, if there is one, and why there is none.
#[pyfunction]
#[pyo3(signature = (model, args, progress=None, metric=None))]
pub(super) fn plan(
    py: Python<'_>,
    model: Given,
    args: Vec<String>,
    progress: Option<Py<PyAny>>,
    metric: Option<Py<PyAny>>,
) -> PyResult<(Option<String>, Option<String>)> {
    let args = flags_of(py, args, |command| match command {
        Some(Command::Plan(args)) => Some(args),
        _ => None,
    })?;
    let called = Called {
        progress: progress.as_ref(),
        metric: metric.as_ref(),
    };
    let outcome = run_judged(py, called, move |stop, reporter, metric| {
        let source = model.source()?;
        let mut settings = args.settings()?;
        settings.options.metric = metric.or(settings.options.metric);
        Ok(plan_model(settings.context(stop)?, &source, &settings, reporter)?.outcome)
    })?;
    let text = outcome.plan.as_ref().and_then(|p| serde_json::to_string(p).ok());
    Ok((text, outcome.declined.as_ref().map(declined_reason)))
}

/// The model that a plan makes, and how it compares with the original as JSON.
#[pyfunction]
#[pyo3(signature = (model, args, progress=None, metric=None))]
pub(super) fn apply(
    py: Python<'_>,
    model: Given,
    args: Vec<String>,
    progress: Option<Py<PyAny>>,
    metric: Option<Py<PyAny>>,
) -> PyResult<(Py<PyBytes>, String)> {
    let args = flags_of(py, args, |command| match command {
        Some(Command::Apply(args)) => Some(args),
        _ => None,
    })?;
    let called = Called {
        progress: progress.as_ref(),
        metric: metric.as_ref(),
    };
    let done = run_judged(py, called, move |stop, reporter, metric| {
        let mut settings = args.settings()?;
        settings.metric = metric.or(settings.metric);
        jobs::apply(&model.source()?, &settings, stop, reporter)
    })?;
    let report = serde_json::json!({
        "outputs": done.agreement, "task": done.task, "metric": done.metric, "carrying_channels_removed": done.carrying,
    });
    Ok((PyBytes::new(py, &done.model).unbind(), report.to_string()))
}
