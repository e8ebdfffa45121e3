//! Our errors as Python's: the classes of `snapprune.errors`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::Error;
use crate::flags::hint;

/// The exception for an error.
pub(super) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error {
        Error::File { .. } => "FileError",
        Error::Model(_) | Error::LinkedWeights(_) | Error::Tensor { .. } => "ModelError",
        Error::Library(_) => "RuntimeMissingError",
        Error::Session(_) => "SessionError",
        Error::Device(_) | Error::Busy { .. } => "DeviceError",
        Error::Database { .. } | Error::DatabaseTooNew { .. } => "DatabaseError",
        Error::Plan(_) => "PlanError",
        Error::Stopped => "StoppedError",
        Error::UnplacedWeights(_)
        | Error::ForeignProfile { .. }
        | Error::Metric(_)
        | Error::Usage(_)
        | Error::Shape(_)
        | Error::Samples(_)
        | Error::SymbolicShapes(_) => "UsageError",
    };
    let message = match hint(error) {
        Some(step) if !matches!(error, Error::Usage(_)) => format!("{error}\n  -> {step}"),
        _ => error.to_string(),
    };
    let made = py
        .import("snapprune.errors")
        .and_then(|module| module.getattr(class))
        .and_then(|class| class.call1((message.as_str(),)));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(_) => PyRuntimeError::new_err(message),
    }
}
