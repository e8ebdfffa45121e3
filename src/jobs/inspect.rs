//! A model's channels without timing anything.

use std::path::Path;

use super::device::load_runtime;
use super::source::ModelSource;
use crate::Result;
use crate::device::{ShapeOptions, Stop};
use crate::optimize::Opened;

/// Opens a model at input shapes and relates its channels.
///
/// # Errors
/// When ONNX Runtime cannot be loaded, or the model cannot be read.
pub fn inspect(source: &ModelSource, shapes: &ShapeOptions, library: Option<&Path>, stop: &Stop) -> Result<Opened> {
    source.open(&load_runtime(library, stop)?, shapes)
}
