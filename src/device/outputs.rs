//! Outputs of a session that is run many times, where they stay.

use ort::memory::MemoryInfo;
use ort::session::{IoBinding, RunOptions, Session};

use super::values::{NamedTensor, names, to_value};
use crate::error::SessionErrorKind;
use crate::{Error, Result};

/// What a session runs on: inputs that are given, and outputs in a memory.
pub(super) fn bound(session: &Session, inputs: &[NamedTensor], memory: &MemoryInfo) -> Result<IoBinding> {
    let mut binding = session.create_binding()?;
    for (name, tensor) in inputs {
        binding.bind_input(name.as_str(), &to_value(name, tensor)?)?;
    }
    bind(session, &mut binding, memory)?;
    Ok(binding)
}

/// Has a device keep the outputs of run after run.
pub(super) fn bind(session: &Session, binding: &mut IoBinding, memory: &MemoryInfo) -> Result<()> {
    for name in names(session.outputs()) {
        binding.bind_output_to_device(name, memory)?;
    }
    Ok(())
}

/// Whether ONNX Runtime refused a run because a tensor that an earlier run left has another shape than the model declares for the
/// output. It warns of such an output when it makes the tensor, but takes none that is there already.
pub(super) fn is_misdeclared(error: &Error) -> bool {
    matches!(error, Error::Session(e) if e.kind == SessionErrorKind::OutputShape)
}

/// Runs with what is bound; `renewed` is set once outputs have to be made anew for every run.
pub(super) fn run(
    session: &mut Session,
    binding: &mut IoBinding,
    memory: &MemoryInfo<'_>,
    options: Option<&RunOptions>,
    renewed: &mut bool,
) -> Result<()> {
    if *renewed {
        bind(session, binding, memory)?;
    }
    match once(session, binding, options) {
        Err(error) if !*renewed && is_misdeclared(&error) => {
            *renewed = true;
            bind(session, binding, memory)?;
            once(session, binding, options)
        }
        done => done,
    }
}

fn once(session: &mut Session, binding: &IoBinding, options: Option<&RunOptions>) -> Result<()> {
    match options {
        Some(options) => session.run_binding_with_options(binding, options).map(drop),
        None => session.run_binding(binding).map(drop),
    }
    .map_err(Error::from)
}
