//! The Python module `snapprune._native`: the jobs of the command line, on models in memory, with the flags of the command
//! line. The package in `snapprune/` makes Python of it.

mod engine;
mod errors;
mod jobs;
mod left_behind;
mod run;
mod zoo;

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command line in this process; its exit status.
#[pyfunction]
fn main(py: Python<'_>, args: Vec<OsString>) -> u8 {
    py.detach(|| crate::cli::run(args.into_iter()))
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(main, module)?)?;
    module.add_function(wrap_pyfunction!(jobs::inputs, module)?)?;
    module.add_function(wrap_pyfunction!(jobs::optimize, module)?)?;
    module.add_function(wrap_pyfunction!(jobs::profile, module)?)?;
    module.add_function(wrap_pyfunction!(jobs::plan, module)?)?;
    module.add_function(wrap_pyfunction!(jobs::apply, module)?)?;
    module.add_function(wrap_pyfunction!(jobs::save, module)?)?;
    module.add_class::<engine::Wish>()?;
    module.add_function(wrap_pyfunction!(zoo::zoo, module)?)?;
    module.add_function(wrap_pyfunction!(zoo::called_as, module)?)?;
    module.add_function(wrap_pyfunction!(zoo::beside, module)?)?;
    module.add_class::<zoo::Processes>()?;
    module.add_function(wrap_pyfunction!(zoo::times, module)?)?;
    module.add_function(wrap_pyfunction!(zoo::take_times, module)?)?;
    Ok(())
}
