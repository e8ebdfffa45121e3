//! Running a job on a thread of its own, without Python's lock: its progress goes to a Python function, and Ctrl-C ends it.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::errors::raised;
use super::left_behind::leave_behind;
use crate::device::{Limit, Stop, check_left_behind};
use crate::optimize::{ProgressReporter, Step};
use crate::verify::{ScoreRequest, UserMetric};
use crate::{Error, Result};

/// What a job tells.
enum Told {
    /// A step, and how much of it is done where that is known.
    Step(Option<String>, usize, usize),
    /// It wants a number of the user's metric.
    Asked(ScoreRequest, Sender<f64>),
}

/// Sends what it is told to the thread that Python runs on.
struct Teller(Sender<Told>);

impl ProgressReporter for Teller {
    fn step(&self, step: Step) {
        // Nobody listens any more when the job is being stopped.
        let _ = self.0.send(Told::Step(Some(step.to_string()), 0, 0));
    }

    fn progress(&self, done: usize, total: usize) {
        let _ = self.0.send(Told::Step(None, done, total));
    }
}

/// A Python function as a metric: the thread that Python runs on calls it.
struct CalledMetric {
    name: String,
    /// The job has many threads, and one may ask at a time.
    sender: Mutex<Sender<Told>>,
}

impl fmt::Debug for CalledMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl UserMetric for CalledMetric {
    fn name(&self) -> &str {
        &self.name
    }

    fn prepare(&self, stop: &Stop) -> Result<()> {
        stop.check()
    }

    fn score(&self, asked: &ScoreRequest, _: &Limit) -> Result<f64> {
        let (sender, answer) = channel();
        let sent = self
            .sender
            .lock()
            .map(|told| told.send(Told::Asked(asked.clone(), sender)));
        // What the function raises is on its way to the caller of the job, which ends.
        match sent {
            Ok(Ok(())) => answer.recv().map_err(|_| Error::Stopped),
            _ => Err(Error::Stopped),
        }
    }
}

/// How often Python's signals are looked at.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often a job that has nothing more to tell is looked at.
const SOON: Duration = Duration::from_millis(5);

/// What a job calls in Python.
#[derive(Clone, Copy, Default)]
pub(super) struct Called<'p> {
    /// `progress(step or None, done, total)`.
    pub(super) progress: Option<&'p Py<PyAny>>,
    /// `metric(outputs, original, samples)`, folders, gives a number.
    pub(super) metric: Option<&'p Py<PyAny>>,
}

/// Runs `job`; calls `progress(step or None, done, total)` meanwhile.
///
/// # Errors
/// The job's own, and what `progress` or a signal handler raises.
pub(super) fn run<R: Send + 'static>(
    py: Python<'_>,
    progress: Option<&Py<PyAny>>,
    job: impl FnOnce(&Stop, &(dyn ProgressReporter + Sync)) -> Result<R> + Send + 'static,
) -> PyResult<R> {
    let called = Called { progress, metric: None };
    run_judged(py, called, |stop, reporter, _| job(stop, reporter))
}

/// The same for a job that may be judged by a metric in Python, which it is given.
///
/// # Errors
/// Those of [`run`], and what the metric raises.
pub(super) fn run_judged<R: Send + 'static>(
    py: Python<'_>,
    called: Called,
    job: impl FnOnce(&Stop, &(dyn ProgressReporter + Sync), Option<Arc<dyn UserMetric>>) -> Result<R> + Send + 'static,
) -> PyResult<R> {
    // A new thread might wait for the lock of the system's loader before it comes to anything.
    check_left_behind().map_err(|e| raised(py, &e))?;
    let stop = Stop::default();
    let (sender, receiver) = channel();
    let metric = called.metric.map(|function| {
        let name = function.getattr(py, "name").and_then(|name| name.extract(py));
        Arc::new(CalledMetric {
            name: name.unwrap_or_else(|_| "metric".to_owned()),
            sender: Mutex::new(sender.clone()),
        }) as Arc<dyn UserMetric>
    });
    let (ended, raised_meanwhile) = py.detach(|| {
        let own = stop.clone();
        let worker = std::thread::spawn(move || job(&own, &Teller(sender), metric));
        let listened = listen(&receiver, called, &stop);
        drop(receiver);
        match listened {
            Ok(Some(error)) => (left(worker, error, &stop), Ok(())),
            Ok(None) => (end_of(worker, &stop), Ok(())),
            Err(raised) => (end_of(worker, &stop), Err(raised)),
        }
    });
    raised_meanwhile?;
    match ended {
        Ended::Joined(Ok(Ok(result))) => Ok(result),
        Ended::Joined(Ok(Err(error))) | Ended::Left(error) => Err(raised(py, &error)),
        Ended::Joined(Err(_)) => Err(PyRuntimeError::new_err(
            "snapprune failed in a way that it should not; please report this model",
        )),
    }
}

/// How a job's thread ended.
enum Ended<R> {
    /// It came back.
    Joined(std::thread::Result<Result<R>>),
    /// A library in it does not answer.
    Left(Error),
}

/// Waits for a job's end, as long as libraries answer.
fn end_of<R: Send + 'static>(worker: JoinHandle<Result<R>>, stop: &Stop) -> Ended<R> {
    while !worker.is_finished() {
        if let Some(error) = stop.unanswered() {
            return left(worker, error, stop);
        }
        std::thread::sleep(SOON);
    }
    Ended::Joined(worker.join())
}

/// Leaves a job's thread behind, which ends when the library does answer.
fn left<R: Send + 'static>(worker: JoinHandle<Result<R>>, error: Error, stop: &Stop) -> Ended<R> {
    stop.request();
    leave_behind(worker);
    Ended::Left(error)
}

/// Until the job has nothing more to tell, or a library in it does not answer: what comes of that then.
fn listen(receiver: &Receiver<Told>, called: Called, stop: &Stop) -> PyResult<Option<Error>> {
    loop {
        let told = match receiver.recv_timeout(PATIENCE) {
            Ok(told) => Some(told),
            Err(RecvTimeoutError::Timeout) => match stop.unanswered() {
                Some(error) => return Ok(Some(error)),
                None => None,
            },
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        };
        let done = Python::attach(|py| {
            match (told, called) {
                (Some(Told::Step(step, done, total)), Called { progress: Some(f), .. }) => {
                    f.call1(py, (step, done, total))?;
                }
                (Some(Told::Asked(asked, answer)), Called { metric: Some(f), .. }) => {
                    let number = f.call1(py, (asked.outputs, asked.original, asked.samples))?;
                    // Nobody waits any more when the job is being stopped.
                    let _ = answer.send(number.extract(py)?);
                }
                _ => {}
            }
            py.check_signals()
        });
        if let Err(raised) = done {
            stop.request();
            return Err(raised);
        }
    }
}
