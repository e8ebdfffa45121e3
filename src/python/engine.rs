//! An engine of the zoo that is a Python object: it takes jobs to where they are done, and what comes of them back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pyo3::prelude::*;

use crate::device::Stop;
use crate::flags::reason;
use crate::onnx::{files, save};
use crate::profile::{Database, Row};
use crate::zoo::{Answer, Engine, FailureKind, Job, JournalEntry, WorkKind, is_address};
use crate::{Error, Result};

/// The wish to stop, as Python sees it.
#[pyclass(frozen)]
pub(super) struct Wish(Stop);

impl Wish {
    /// A wish that is nobody's but Python's own.
    pub(super) fn stop(&self) -> &Stop {
        &self.0
    }
}

#[pymethods]
impl Wish {
    #[new]
    fn new() -> Self {
        Self(Stop::default())
    }

    /// Whether it was asked to stop.
    fn requested(&self) -> bool {
        self.0.requested()
    }

    /// Asks for it.
    fn request(&self) {
        self.0.request();
    }
}

/// A Python object with the methods `slots(timed)`, `run(slot, job, files, times, limit, wish)` and `noted(name)`.
pub(super) struct PyEngine {
    pub engine: Py<PyAny>,
    pub stop: Stop,
}

/// What `run` gives: the answer, the worker's log, the times it knows, and the files it wrote by their names.
type Back = (String, String, String, BTreeMap<String, Vec<u8>>);

impl PyEngine {
    fn ask(&self, slot: usize, job: &Job, log: Option<&File>, limit: Option<Duration>) -> Result<Answer> {
        let db = job.flags().value("db").map(PathBuf::from);
        let times = db.as_deref().map(|db| times(db, job)).transpose()?.unwrap_or_default();
        let line = serde_json::to_string(job).unwrap_or_default();
        let limit = limit.map(|l| l.as_secs_f64());
        let back: Back = Python::attach(|py| {
            let wish = Wish(self.stop.clone());
            let answer = self
                .engine
                .call_method1(py, "run", (slot, line, read(job), times, limit, wish));
            answer
                .and_then(|a| a.extract(py))
                .map_err(|e: PyErr| Error::device(e.to_string()))
        })?;
        let (answer, said, times, written) = back;
        if let Some(mut log) = log {
            // The log is for people; the work is not lost without it.
            let _ = log.write_all(said.as_bytes());
        }
        if let Some(db) = &db {
            job.flags()
                .database(db)?
                .take_over(&Row::of_lines(&times, "a worker's times")?)?;
        }
        let mut answer =
            serde_json::from_str(&answer).map_err(|e| Error::device(format!("no answer but {answer}: {e}")))?;
        if let (Job::Optimize(what), Answer::Optimized(done)) = (job, &mut answer) {
            for (name, bytes) in written {
                save(&what.stem.with_file_name(name), &bytes)?;
            }
            if is_address(&what.stem) {
                let address = |name: &String| what.stem.with_file_name(name).to_string_lossy().into_owned();
                done.files = done
                    .files
                    .iter()
                    .map(|(name, hash)| (address(name), hash.clone()))
                    .collect();
            }
        }
        Ok(answer)
    }
}

impl Engine for PyEngine {
    fn slots(&self, kind: WorkKind) -> usize {
        let asked = Python::attach(|py| {
            self.engine
                .call_method1(py, "slots", (kind == WorkKind::Timed,))?
                .extract::<usize>(py)
        });
        asked.unwrap_or(1).max(1)
    }

    fn run(&self, slot: usize, job: &Job, log: Option<&File>, limit: Option<Duration>) -> Answer {
        match self.ask(slot, job, log, limit) {
            Ok(answer) => answer,
            Err(_) if self.stop.requested() => Answer::Stopped,
            Err(error) => Answer::Failed {
                failure: FailureKind::of(&error),
                reason: reason(&error),
            },
        }
    }

    fn noted(&self, entry: &JournalEntry) {
        // What it does with it is its own affair; the journal is written.
        let _ = Python::attach(|py| self.engine.call_method1(py, "noted", (entry.name.as_str(),)));
    }
}

/// The files and addresses that a job reads: where it finds a model in a file, also those beside it.
fn read(job: &Job) -> Vec<String> {
    let model = match job {
        Job::Device { .. } | Job::Probe { .. } => None,
        Job::Collect { model, .. } => Some(model),
        Job::Optimize(what) => Some(&what.model),
    };
    // As text: Python's paths make one of the two slashes of an address.
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut all = Vec::new();
    if let Some(path) = model {
        match is_address(path) {
            true => all.push(text(path)),
            false => all.extend(files(path).iter().map(|p| text(p))),
        }
    }
    all.extend(job.flags().read().map(str::to_owned));
    all
}

/// What is known already of what a job times, as lines.
fn times(db: &Path, job: &Job) -> Result<String> {
    let mut rows = match job {
        Job::Device { .. } | Job::Collect { .. } => return Ok(String::new()),
        Job::Probe { .. } | Job::Optimize(_) => Database::open(db)?.rows()?,
    };
    if let Job::Probe { problems, .. } = job {
        rows.retain(|r| problems.contains(&r.problem));
    }
    Ok(Row::lines(&rows))
}
