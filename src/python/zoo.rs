//! Zoos from Python: the driver, with the machine's own processes or a Python engine; and what an engine needs where the jobs
//! are done.

use std::io::{Read, Seek};
use std::path::PathBuf;

use pyo3::prelude::*;

use super::engine::{PyEngine, Wish};
use super::errors::raised;
use super::run::run;
use crate::flags::{Command, parsed};
use crate::jobs::Program;
use crate::profile::{Database, Row};
use crate::zoo::{Engine, Isolation, Job, JournalEntry, Local, LocalSettings, run as run_zoo, text, write_report};
use crate::{Error, Result};

/// Does a zoo: `args` are those of the command line. The exit status, the report as JSON, and how many models were finished
/// before. `destination`: the address of an object store for what is written; `told` is called with a line for every model that is
/// finished.
#[pyfunction]
#[pyo3(signature = (args, engine=None, destination=None, told=None, progress=None))]
pub(super) fn zoo(
    py: Python<'_>,
    args: Vec<String>,
    engine: Option<Py<PyAny>>,
    destination: Option<String>,
    told: Option<Py<PyAny>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<(u8, String, usize)> {
    let told = move |entry: &JournalEntry| {
        if let Some(told) = &told {
            // A function that fails to show a line costs that line.
            let _ = Python::attach(|py| told.call1(py, (text::line(entry),)));
        }
    };
    let zoo = run(py, progress.as_ref(), move |stop, reporter| {
        let words = ["snapprune".to_owned(), "zoo".to_owned()].into_iter().chain(args);
        let (parsed, matches) = parsed(words)?;
        let (Some(Command::Zoo(zoo)), Some(matches)) = (parsed.command, matches.subcommand_matches("zoo")) else {
            return Err(Error::Usage("these are the flags of another command".to_owned()));
        };
        let mut setup = zoo.setup(matches, stop)?;
        setup.destination = destination;
        let engine: Box<dyn Engine> = match engine {
            Some(engine) => Box::new(PyEngine {
                engine,
                stop: stop.clone(),
            }),
            None => Box::new(zoo.local(stop)),
        };
        let done = run_zoo(&setup, engine.as_ref(), reporter, &told)?;
        write_report(&zoo.out, &done.summary)?;
        Ok(done)
    })?;
    let report = serde_json::to_string(&zoo.summary).unwrap_or_default();
    Ok((zoo.code as u8, report, zoo.skipped))
}

/// Says how worker processes are started.
#[pyfunction]
pub(super) fn called_as(path: PathBuf, args: Vec<String>) {
    Program { path, args }.set_current();
}

/// Worker processes of this machine, which go on from job to job.
#[pyclass(frozen)]
pub(super) struct Processes(Local);

#[pymethods]
impl Processes {
    /// At most so many at once.
    #[new]
    fn new(slots: usize, wish: &Wish) -> Self {
        let settings = LocalSettings {
            program: Program::current(),
            gpus: Vec::new(),
            jobs: slots,
            isolation: Isolation::Shared,
        };
        Self(Local::new(settings, wish.stop().clone()))
    }

    /// Does one job; the answer and the log, as texts. `limit`: seconds.
    #[pyo3(signature = (slot, job, limit=None))]
    fn work(&self, py: Python<'_>, slot: usize, job: String, limit: Option<f64>) -> PyResult<(String, String)> {
        py.detach(|| worked(&self.0, slot, &job, limit))
            .map_err(|e| raised(py, &e))
    }
}

fn worked(processes: &Local, slot: usize, job: &str, limit: Option<f64>) -> Result<(String, String)> {
    let job: Job = serde_json::from_str(job).map_err(|e| Error::Usage(format!("not a job ({e})")))?;
    let fail = |e| Error::file(std::env::temp_dir(), e);
    let limit = limit.and_then(|l| std::time::Duration::try_from_secs_f64(l).ok());
    // A process that goes on keeps the log it was started with; only what does one job has one of its own.
    let mut log = tempfile::tempfile().map_err(fail)?;
    let own = matches!(job, Job::Optimize(_)).then_some(&log);
    let answer = processes.run(slot, &job, own, limit);
    let mut said = Vec::new();
    log.rewind().and_then(|()| log.read_to_end(&mut said)).map_err(fail)?;
    let answer = serde_json::to_string(&answer).unwrap_or_default();
    Ok((answer, String::from_utf8_lossy(&said).into_owned()))
}

/// All times of a latency database, a JSON object a line.
#[pyfunction]
pub(super) fn times(py: Python<'_>, db: PathBuf) -> PyResult<String> {
    let read = || -> Result<String> { Ok(Row::lines(&Database::open(&db)?.rows()?)) };
    py.detach(read).map_err(|e| raised(py, &e))
}

/// The files beside a model that hold weights, relative to its folder.
#[pyfunction]
pub(super) fn beside(model: PathBuf) -> Vec<PathBuf> {
    let folder = model.parent().map(PathBuf::from).unwrap_or_default();
    let all = crate::onnx::files(&model);
    all.iter()
        .skip(1)
        .filter_map(|f| f.strip_prefix(&folder).ok().map(PathBuf::from))
        .collect()
}

/// Takes over times into a latency database.
#[pyfunction]
pub(super) fn take_times(py: Python<'_>, db: PathBuf, lines: String) -> PyResult<usize> {
    let take = || -> Result<usize> { Database::open(&db)?.take_over(&Row::of_lines(&lines, "times")?) };
    py.detach(take).map_err(|e| raised(py, &e))
}
