//! Paths of models.

use std::path::Path;

use crate::onnx::Model;
use crate::optimize::{ProgressReporter, SORTED};
use crate::{Error, Result};

/// Looks whether a path leads to a file.
///
/// # Errors
/// When it does not.
pub fn must_be_a_file(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(Error::Usage(format!("{} is not a file", path.display()))),
        Err(error) => Err(Error::file(path, error)),
    }
}

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
