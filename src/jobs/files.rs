//! Paths of models.

use std::path::Path;

use crate::onnx::Model;
use crate::optimize::{ProgressReporter, SORTED};

/// Whether two paths name one file.
pub fn same_file(a: &Path, b: &Path) -> bool {
    match (std::fs::canonicalize(a), std::fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// Reports of a model that is only run that its nodes were not in order.
pub(super) fn note_order(path: &Path, model: &Model, reporter: &dyn ProgressReporter) {
    if model.sorted {
        reporter.note(&format!("{}: {SORTED}", path.display()));
    }
}
