//! What the search for video files works with.

use super::super::reporter::ProgressReporter;
use crate::data::Dataset;
use crate::device::{Device, Limit};
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::task::Reading;

/// What the search works with.
pub(super) struct VideoSearch<'a> {
    pub device: &'a dyn Device,
    pub reporter: &'a dyn ProgressReporter,
    pub model: &'a ModelProto,
    /// A hash of the model.
    pub origin: &'a str,
    pub graph: &'a Graph<'a>,
    pub data: &'a Dataset,
    pub reading: &'a Reading,
    pub most_drop: f64,
    pub limit: &'a Limit,
}
