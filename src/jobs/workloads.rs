//! The input shapes that a model is optimized for.

use super::source::ModelSource;
use crate::Result;
use crate::device::{Runtime, ShapeOptions};
use crate::optimize::Workload;

/// One set of input shapes with its share of the traffic.
#[derive(Clone, Debug)]
pub struct WorkloadShape {
    /// The shapes.
    pub shapes: ShapeOptions,
    /// The share; those of all sets sum to 1.
    pub weight: f64,
}

/// Opens a model at all its input shapes.
///
/// # Errors
/// Those of [`ModelSource::open`].
pub fn open_workloads(source: &ModelSource, runtime: &Runtime, shapes: &[WorkloadShape]) -> Result<Vec<Workload>> {
    let open = |shape: &WorkloadShape| {
        Ok(Workload {
            opened: source.open(runtime, &shape.shapes)?,
            weight: shape.weight,
        })
    };
    shapes.iter().map(open).collect()
}
