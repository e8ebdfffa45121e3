//! Running a job on a thread of its own, without Python's lock: its progress goes to a Python function, and Ctrl-C ends it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::errors::raised;
use crate::Result;
use crate::device::Stop;
use crate::optimize::{ProgressReporter, Step};

/// What a job tells: a step, and how much of it is done where that is known.
struct Told(Option<String>, usize, usize);

/// Sends what it is told to the thread that Python runs on.
struct Teller(Sender<Told>);

impl ProgressReporter for Teller {
    fn step(&self, step: Step) {
        // Nobody listens any more when the job is being stopped.
        let _ = self.0.send(Told(Some(step.to_string()), 0, 0));
    }

    fn progress(&self, done: usize, total: usize) {
        let _ = self.0.send(Told(None, done, total));
    }
}

/// How often Python's signals are looked at.
const PATIENCE: Duration = Duration::from_millis(100);

/// Runs `job`; calls `progress(step or None, done, total)` meanwhile.
///
/// # Errors
/// The job's own, and what `progress` or a signal handler raises.
pub(super) fn run<R: Send>(
    py: Python<'_>,
    progress: Option<&Py<PyAny>>,
    job: impl FnOnce(&Stop, &(dyn ProgressReporter + Sync)) -> Result<R> + Send,
) -> PyResult<R> {
    let stop = Stop::default();
    let (sender, receiver) = channel();
    let (result, raised_meanwhile) = py.detach(|| {
        std::thread::scope(|scope| {
            let own = stop.clone();
            let worker = scope.spawn(move || job(&own, &Teller(sender)));
            let raised = listen(&receiver, progress, &stop);
            drop(receiver);
            (worker.join(), raised)
        })
    });
    raised_meanwhile?;
    match result {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => Err(raised(py, &error)),
        Err(_) => Err(PyRuntimeError::new_err(
            "snapprune failed in a way that it should not; please report this model",
        )),
    }
}

/// Until the job has nothing more to tell.
fn listen(receiver: &Receiver<Told>, progress: Option<&Py<PyAny>>, stop: &Stop) -> PyResult<()> {
    loop {
        let told = match receiver.recv_timeout(PATIENCE) {
            Ok(told) => Some(told),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        let done = Python::attach(|py| {
            if let (Some(Told(step, done, total)), Some(progress)) = (told, progress) {
                progress.call1(py, (step, done, total))?;
            }
            py.check_signals()
        });
        if done.is_err() {
            stop.request();
            return done;
        }
    }
}
