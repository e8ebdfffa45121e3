//! What is known of one model.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::failure::FailureKind;
use super::numbers::Numbers;

/// How far a model is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing was done, or it was interrupted and will be done again.
    #[default]
    Pending,
    /// Its problems are known.
    Collected,
    /// A process is at it (or was, when it was killed).
    Running,
    /// A faster model was written, static or dynamic.
    Written,
    /// A plan was written.
    Planned,
    /// The original stays: nothing was faster, or a goal is out of reach.
    Declined,
    /// It did not work.
    Failed,
}

impl State {
    /// Whether there is nothing left to do.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Written | Self::Planned | Self::Declined | Self::Failed)
    }
}

/// A model's journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JournalEntry {
    /// The version of this format: 1.
    pub schema_version: u32,
    /// The model's name in the zoo.
    pub name: String,
    /// Its file.
    pub model: PathBuf,
    /// How far it is.
    pub state: State,
    /// The kind of failure.
    #[serde(rename = "trouble")]
    pub failure: Option<FailureKind>,
    /// Why it failed or was declined.
    pub reason: Option<String>,
    /// What was read, with its BLAKE3.
    pub inputs: BTreeMap<PathBuf, String>,
    /// What stands for the model's content where its file is not here.
    pub token: Option<String>,
    /// BLAKE3 of the flags that decide what comes out.
    pub settings: String,
    /// The version of snapprune.
    pub tool: String,
    /// The device and its software.
    pub device: Option<String>,
    /// BLAKE3 of the plan.
    pub plan: Option<String>,
    /// What was written, relative to the output folder, with its BLAKE3.
    pub files: BTreeMap<String, String>,
    /// How often it was begun.
    pub attempts: u32,
    /// When the last attempt began, in seconds since 1970.
    pub started: u64,
    /// How long it took.
    pub seconds: f64,
    /// For the report.
    pub numbers: Option<Numbers>,
}
