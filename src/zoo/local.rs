//! The processes of this machine.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use super::engine::Engine;
use super::failure::FailureKind;
use super::message::{Answer, Job};
use super::process::Worker;
use crate::device::Stop;

/// How snapprune is called.
#[derive(Clone, Debug)]
pub struct Program {
    /// What is started.
    pub path: PathBuf,
    /// Its first arguments.
    pub args: Vec<String>,
}

/// Worker processes of this machine: one a GPU (or one, on the CPU) for what is timed, several for what is not.
#[derive(Debug)]
pub struct Local {
    program: Program,
    gpus: Vec<usize>,
    jobs: usize,
    isolate: bool,
    stop: Stop,
    /// Processes that go on from job to job, by slot.
    kept: Vec<Mutex<Option<Worker>>>,
}

/// A process is replaced after so many jobs, so that what libraries leave behind does not add up.
const JOBS: usize = 50;

impl Local {
    /// Processes of `program`: on `gpus` (none: on the device that the flags name), `jobs` for what is not timed. `isolate`: a
    /// fresh process for every job.
    pub fn new(program: Program, gpus: Vec<usize>, jobs: usize, isolate: bool, stop: Stop) -> Self {
        let slots = jobs.max(gpus.len()).max(1);
        Self {
            program,
            gpus,
            jobs: jobs.max(1),
            isolate,
            stop,
            kept: (0..slots).map(|_| Mutex::new(None)).collect(),
        }
    }

    /// The job, on a slot's own GPU.
    fn placed(&self, slot: usize, job: &Job) -> Job {
        let Some(gpu) = self.gpus.get(slot % self.gpus.len().max(1)) else {
            return job.clone();
        };
        let mut job = job.clone();
        match &mut job {
            Job::Device { flags } | Job::Collect { flags, .. } | Job::Probe { flags, .. } => {
                *flags = flags.and("gpu", gpu.to_string());
            }
            Job::Optimize(o) => o.flags = o.flags.and("gpu", gpu.to_string()),
        }
        job
    }
}

impl Engine for Local {
    fn slots(&self, timed: bool) -> usize {
        if timed { self.gpus.len().max(1) } else { self.jobs }
    }

    fn run(&self, slot: usize, job: &Job, log: Option<&File>, limit: Option<Duration>) -> Answer {
        let job = self.placed(slot, job);
        let start = || {
            // Its last words are wanted also where nobody keeps a log.
            let own = log.is_none().then(tempfile::tempfile).and_then(std::io::Result::ok);
            Worker::start(&self.program, log.or(own.as_ref())).map_err(|e| {
                Box::new(Answer::Failed {
                    failure: FailureKind::Machine,
                    reason: e.to_string(),
                })
            })
        };
        let alone = self.isolate || matches!(job, Job::Optimize(_));
        let Some(kept) = self.kept.get(slot).filter(|_| !alone) else {
            return match start() {
                Ok(mut worker) => worker.run(&job, limit, &self.stop),
                Err(answer) => *answer,
            };
        };
        // A thread that panicked with the process in hand leaves one that may be in the middle of something.
        let mut kept = match kept.lock() {
            Ok(kept) => kept,
            Err(poisoned) => {
                let mut kept = poisoned.into_inner();
                *kept = None;
                kept
            }
        };
        if kept.as_ref().is_none_or(|w| w.done >= JOBS) {
            *kept = None;
            match start() {
                Ok(worker) => *kept = Some(worker),
                Err(answer) => return *answer,
            }
        }
        let answer = match kept.as_mut() {
            Some(worker) => worker.run(&job, limit, &self.stop),
            None => Answer::Stopped,
        };
        // After a failure nobody knows what state the process is in; a CUDA error, above all, sticks to it.
        if matches!(answer, Answer::Failed { .. } | Answer::Stopped) {
            *kept = None;
        }
        answer
    }
}
