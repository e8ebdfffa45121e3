//! The processes of this machine.

use std::fs::File;
use std::sync::Mutex;
use std::time::Duration;

use super::engine::{Engine, WorkKind};
use super::failure::FailureKind;
use super::message::{Answer, Job};
use super::process::Worker;
use crate::device::Stop;
use crate::jobs::Program;

/// When worker processes are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// They go on from job to job; only models that are optimized have processes of their own.
    #[default]
    Shared,
    /// Every job has a fresh process.
    EachJob,
}

/// Which worker processes there are.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// How they are started.
    pub program: Program,
    /// The GPUs that are timed on; none: the device that the flags name.
    pub gpus: Vec<usize>,
    /// Processes for what is not timed.
    pub jobs: usize,
    /// When they are replaced.
    pub isolation: Isolation,
}

/// Worker processes of this machine: one a GPU (or one, on the CPU) for what is timed, several for what is not.
#[derive(Debug)]
pub struct Local {
    settings: LocalSettings,
    stop: Stop,
    /// Processes that go on from job to job, by slot.
    kept: Vec<Mutex<Option<Worker>>>,
}

/// A process is replaced after so many jobs, so that what libraries leave behind does not add up.
const JOBS: usize = 50;

impl Local {
    /// None is started before its first job; `stop` ends all of them.
    pub fn new(settings: LocalSettings, stop: Stop) -> Self {
        let slots = settings.jobs.max(settings.gpus.len()).max(1);
        Self {
            settings: LocalSettings {
                jobs: settings.jobs.max(1),
                ..settings
            },
            stop,
            kept: (0..slots).map(|_| Mutex::new(None)).collect(),
        }
    }

    /// The job, on a slot's own GPU.
    fn placed(&self, slot: usize, job: &Job) -> Job {
        let Some(gpu) = self.settings.gpus.get(slot % self.settings.gpus.len().max(1)) else {
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
    fn slots(&self, kind: WorkKind) -> usize {
        match kind {
            WorkKind::Timed => self.settings.gpus.len().max(1),
            WorkKind::Untimed => self.settings.jobs,
        }
    }

    fn run(&self, slot: usize, job: &Job, log: Option<&File>, limit: Option<Duration>) -> Answer {
        let job = self.placed(slot, job);
        let start = || {
            // Its last words are wanted also where nobody keeps a log.
            let own = log.is_none().then(tempfile::tempfile).and_then(std::io::Result::ok);
            Worker::start(&self.settings.program, log.or(own.as_ref())).map_err(|e| {
                Box::new(Answer::Failed {
                    failure: FailureKind::Machine,
                    reason: e.to_string(),
                })
            })
        };
        let alone = self.settings.isolation == Isolation::EachJob || matches!(job, Job::Optimize(_));
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
