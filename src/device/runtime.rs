//! ONNX Runtime, loaded once, and its sessions.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::ep::ExecutionProviderDispatch;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::foreign::ForeignCall;
use super::library::find_library;
use super::on_cpu::on_cpu;
use super::run::Run;
use super::session_from_memory::commit;
use super::stop::Stop;
use super::values::{NamedTensor, from_value, names, to_value};
use super::versions::{told_by, too_old};
use super::warmup_session::first_session;
use crate::error::LibraryError;
use crate::{Error, Result};

/// ONNX Runtime in this process.
#[derive(Clone, Debug)]
pub struct Runtime {
    pub(super) environment: Environment,
    /// The library's file.
    pub library: PathBuf,
    /// Its version, such as `1.31.1`.
    pub version: String,
    /// Ends every job that uses this one, before its next run of a model.
    pub stop: Stop,
    /// Threads within a node that ONNX Runtime chooses on this machine: those of a plain `InferenceSession`.
    pub own_threads: usize,
    /// Threads of runs that are not timed (0: ONNX Runtime's choice).
    threads: usize,
    pub(super) idle: Idle,
}

/// What the threads of a session do between its runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// They wait for work within a run as in a deployment, and sleep when it is over: they take no core from another session that
    /// is being timed.
    #[default]
    Sleep,
    /// They go on looking for work for a while, as ONNX Runtime has it. A session that is alone is timed so in a deployment.
    Spin,
    /// They never look for work: every node that is shared between threads has to wake them.
    Block,
}

/// The one that was loaded first.
static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// Finds and loads the library.
    ///
    /// # Errors
    /// When there is none, or it is too old or of another architecture; the message says what to install.
    pub fn load(explicit: Option<&Path>) -> Result<Self> {
        super::foreign::check_left_behind()?;
        if let Some(file) = super::environments::planted() {
            return Err(Error::Library(LibraryError::Planted { file }));
        }
        let library = find_library(explicit)?;
        // A process can have one environment only; jobs that follow the first one share it.
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = loaded.as_ref() {
            if first.library == library {
                return Ok(Self {
                    stop: Stop::default(),
                    threads: 0,
                    idle: Idle::default(),
                    ..first.clone()
                });
            }
            return Err(Error::Library(LibraryError::Loaded {
                loaded: first.library.clone(),
                other: library,
            }));
        }
        let unusable = |e: &dyn std::fmt::Display| {
            Error::Library(LibraryError::Unusable {
                library: library.clone(),
                why: e.to_string(),
            })
        };
        if let Some(fault) = super::elf::fault(&library) {
            return Err(unusable(&fault));
        }
        let version = told_by(&library).unwrap_or_else(|| version_of(&library));
        if let Some(fault) = too_old(&version) {
            return Err(unusable(&fault));
        }
        let builder = ort::init_from(&library).map_err(|e| unusable(&e))?;
        let environment = builder.with_name("snapprune").build().map_err(|e| unusable(&e))?;
        environment.set_log_level(LogLevel::Fatal);
        let own_threads =
            first_session(&environment).map_err(|e| unusable(&format!("its CPU provider makes no session: {e}")))?;
        let runtime = Self {
            environment,
            library,
            version,
            stop: Stop::default(),
            own_threads,
            threads: 0,
            idle: Idle::default(),
        };
        *loaded = Some(runtime.clone());
        Ok(runtime)
    }

    /// Loads the NVIDIA libraries that Python's packages bring, where the system's loader does not find its own.
    pub fn preload(&self) {
        super::nvidia::preload(&self.library);
    }

    /// The same, ended by `stop` too.
    #[must_use]
    pub fn stopped_by(self, stop: &Stop) -> Self {
        Self {
            stop: stop.clone(),
            ..self
        }
    }

    /// The same with so many threads for runs that are not timed (0: ONNX Runtime's choice).
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// The same with other manners of threads between runs.
    #[must_use]
    pub fn with_idle(self, idle: Idle) -> Self {
        Self { idle, ..self }
    }

    /// A builder of sessions that use `threads` threads within a node (0: ONNX Runtime's choice).
    pub(super) fn builder(&self, threads: usize, providers: &[ExecutionProviderDispatch]) -> Result<SessionBuilder> {
        let _call = self.stop.enter(ForeignCall::Model)?;
        let builder = self.without_provider(threads)?;
        match providers {
            [] => on_cpu(&self.environment, builder),
            providers => Ok(builder.with_execution_providers(providers)?),
        }
    }

    /// The same, for whoever names a provider before the session is made.
    pub(super) fn without_provider(&self, threads: usize) -> Result<SessionBuilder> {
        self.stop.check()?;
        let mut builder = Session::builder(&self.environment)?
            .with_log_level(LogLevel::Fatal)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_operators(crate::fused::domain()?)?
            .with_inter_threads(1)?;
        if threads > 0 {
            builder = builder.with_intra_threads(threads)?;
        }
        match self.idle {
            Idle::Sleep => builder = builder.with_config_entry("session.force_spinning_stop", "1")?,
            Idle::Spin => {}
            Idle::Block => builder = builder.with_config_entry("session.intra_op.allow_spinning", "0")?,
        }
        Ok(builder)
    }

    /// Runs a model once on the CPU without rewriting the graph, whatever the target is.
    pub(super) fn run_plain(
        &self,
        model: &[u8],
        inputs: &[NamedTensor],
    ) -> Result<Vec<(String, ort::value::DynValue)>> {
        run_once(self.plain_session(model)?, inputs, &self.stop)
    }

    /// The same model for run after run.
    pub(super) fn loaded_plain(&self, model: &[u8]) -> Result<Run<'_>> {
        Ok(runs_of(self.plain_session(model)?, &self.stop))
    }

    /// A session on the CPU that leaves the graph as it is.
    fn plain_session(&self, model: &[u8]) -> Result<Session> {
        let mut builder = Session::builder(&self.environment)?
            .with_log_level(LogLevel::Fatal)?
            .with_optimization_level(GraphOptimizationLevel::Disable)?
            .with_operators(crate::fused::domain()?)?;
        if self.threads > 0 {
            builder = builder.with_intra_threads(self.threads)?;
        }
        commit(on_cpu(&self.environment, builder)?, model, &self.stop)
    }
}

/// One run; every output with its name, in the order of the file.
pub(super) fn run_once(
    mut session: Session,
    inputs: &[NamedTensor],
    stop: &Stop,
) -> Result<Vec<(String, ort::value::DynValue)>> {
    run(&mut session, inputs, stop)
}

/// Run after run of one session; outputs that are tensors of numbers.
pub(super) fn runs_of(mut session: Session, stop: &Stop) -> Run<'_> {
    Box::new(move |inputs| Ok(tensors(run(&mut session, inputs, stop)?)))
}

/// The same with a session that is kept.
pub(super) fn run(
    session: &mut Session,
    inputs: &[NamedTensor],
    stop: &Stop,
) -> Result<Vec<(String, ort::value::DynValue)>> {
    let values = bind(inputs)?;
    let order = names(session.outputs());
    let _call = stop.enter(ForeignCall::Model)?;
    let mut outputs = session.run(values)?;
    Ok(order
        .into_iter()
        .filter_map(|name| outputs.remove(&name).map(|v| (name, v)))
        .collect())
}

/// Outputs that are tensors of numbers, in the order of the file.
pub(super) fn tensors(outputs: Vec<(String, ort::value::DynValue)>) -> Vec<NamedTensor> {
    outputs
        .into_iter()
        .filter_map(|(name, v)| Some((name, from_value(&v)?)))
        .collect()
}

fn bind(inputs: &[NamedTensor]) -> Result<Vec<(String, ort::session::SessionInputValue<'static>)>> {
    inputs
        .iter()
        .map(|(name, tensor)| Ok((name.clone(), to_value(name, tensor)?.into())))
        .collect()
}

/// The version in the library's file name, as far as there is one.
fn version_of(library: &Path) -> String {
    let real = std::fs::canonicalize(library).unwrap_or_else(|_| library.to_path_buf());
    let name = real.file_name().map(|n| n.to_string_lossy().into_owned());
    let version = name.as_deref().and_then(|n| n.split_once(".so."));
    version.map_or("unknown", |(_, version)| version).to_owned()
}
