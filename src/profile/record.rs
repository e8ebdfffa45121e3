//! A profile as data: what was measured, on which device and stack.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::samples::{Summary, summarize};
use crate::device::{Conditions, DeviceInfo, Kernel};
use crate::onnx::save;
use crate::{Error, Result};

/// The times of one problem, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The problem.
    pub problem: Problem,
    /// Every time measured.
    pub samples: Vec<f64>,
    /// What was seen besides.
    #[serde(default, skip_serializing_if = "RecordFacts::is_empty")]
    pub facts: RecordFacts,
}

/// What ran, and under which conditions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordFacts {
    /// The kernels of one run on a GPU, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernels: Vec<Kernel>,
    /// Fills and copies of memory that the layer had the GPU do besides, in one run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fills: usize,
    /// Clocks and temperature right after the times were taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
    /// The memory layout that ran on a CPU: `blocked` or `plain`, and how many changes of it came before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// Milliseconds of the reference chain that ran before and after the problem: how fast the machine was then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_ms: Option<f64>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl RecordFacts {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The kernel that took longest.
    pub fn main_kernel(&self) -> Option<&Kernel> {
        self.kernels.iter().max_by_key(|k| k.ns)
    }
}

impl Record {
    /// What the reference chain took, where that can be a time.
    pub fn reference_ms(&self) -> Option<f64> {
        self.facts.reference_ms.filter(|ms| ms.is_finite() && *ms > 0.0)
    }

    /// The same record as if the machine had been as fast as when the reference chain took `reference_ms`.
    #[must_use]
    pub fn paced(mut self, reference_ms: f64) -> Self {
        if let Some(then) = self.reference_ms() {
            self.samples.iter_mut().for_each(|ms| *ms *= reference_ms / then);
            self.facts.reference_ms = Some(reference_ms);
        }
        self
    }

    /// The summary of the samples.
    pub fn summary(&self) -> Summary {
        summarize(&self.samples)
    }
}

/// A recorded profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profile {
    /// The version of this format.
    pub schema_version: u32,
    /// Where it was measured.
    pub device: DeviceInfo,
    /// What was measured.
    pub records: Vec<Record>,
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// When the file cannot be read, is not a profile, or is from a newer version.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
        let profile: Self = serde_json::from_str(&text)
            .map_err(|e| Error::Usage(format!("{} is not a profile: {e}", path.display())))?;
        if profile.schema_version != 1 {
            return Err(Error::Usage(format!(
                "{} has schema version {}; this version reads 1",
                path.display(),
                profile.schema_version
            )));
        }
        Ok(profile)
    }

    /// Writes a profile.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        save(path, self.text().as_bytes())
    }

    /// The profile as JSON, one record a line.
    pub fn text(&self) -> String {
        let records: Vec<String> = self.records.iter().map(json).collect();
        format!(
            "{{\"schema_version\":{},\"device\":{},\"records\":[\n{}\n]}}\n",
            self.schema_version,
            json(&self.device),
            records.join(",\n")
        )
    }
}

/// JSON of plain data, which always serializes.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
