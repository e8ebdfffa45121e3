//! What is said to a worker process and what it says: JSON, one message a line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::failure::FailureKind;
use super::flags::Flags;
use super::numbers::Numbers;
use super::problems::Collected;
use crate::device::DeviceInfo;
use crate::profile::Problem;

/// Something to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Say which device the flags mean.
    Device {
        /// Flags of the main job.
        flags: Flags,
    },
    /// Read a model and say which problems any plan for it needs timed.
    Collect {
        /// The model.
        model: PathBuf,
        /// Flags of the main job.
        flags: Flags,
    },
    /// Time problems that the database does not know.
    Probe {
        /// Flags of the main job.
        flags: Flags,
        /// The problems.
        problems: Vec<Problem>,
    },
    /// The main job, with everything written.
    Optimize(Optimize),
}

/// The main job on one model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Optimize {
    /// The model.
    pub model: PathBuf,
    /// Flags of the main job.
    pub flags: Flags,
    /// The path of what is written, up to the endings `.snap.onnx`, `.snap.json` and so on.
    pub stem: PathBuf,
    /// Write a plan from times that are known; time nothing.
    pub plan_only: bool,
    /// Problems that need not be timed: no choice that uses them is likely to be faster.
    #[serde(rename = "spared")]
    pub pruned: Vec<Problem>,
}

impl Job {
    /// The flags of the main job that it comes with.
    pub fn flags(&self) -> &Flags {
        match self {
            Self::Device { flags } | Self::Collect { flags, .. } | Self::Probe { flags, .. } => flags,
            Self::Optimize(what) => &what.flags,
        }
    }

    /// Whether anything is timed, so that nothing else may run on the device.
    pub fn is_timed(&self) -> bool {
        match self {
            Self::Device { .. } | Self::Collect { .. } => false,
            Self::Probe { .. } => true,
            Self::Optimize(o) => !o.plan_only,
        }
    }
}

/// What a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It waits until nothing else is timed on the device; that is not its own time.
    Waiting,
    /// It has the device for itself, where it needs it; its time runs from here.
    Begun,
    /// A step begins.
    Step(String),
    /// It is done.
    Answer(Box<Answer>),
}

/// How a job ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Of [`Job::Device`].
    Device {
        /// The device.
        info: DeviceInfo,
        /// Whether it can be timed; else it is known from a recorded profile.
        here: bool,
    },
    /// Of [`Job::Collect`].
    Collected(Collected),
    /// Of [`Job::Probe`]: problems timed, and known before.
    Probed {
        /// Timed now.
        made: usize,
        /// Known before.
        known: usize,
    },
    /// Of [`Job::Optimize`].
    Optimized(Box<Optimized>),
    /// It did not work.
    Failed {
        /// The kind.
        #[serde(rename = "trouble")]
        failure: FailureKind,
        /// What was said.
        reason: String,
    },
    /// It was asked to stop.
    Stopped,
}

/// What the main job did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Optimized {
    /// Why no model was written; `None` when one was.
    pub declined: Option<String>,
    /// Whether that is because the outputs differ.
    pub differs: bool,
    /// The device.
    pub device: String,
    /// BLAKE3 of the plan.
    pub plan: Option<String>,
    /// What was written, by its name beside the stem, with its BLAKE3.
    pub files: BTreeMap<String, String>,
    /// For the report.
    pub numbers: Numbers,
}
