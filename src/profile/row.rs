//! Records of any device as text, one a line: what goes from machine to machine.

use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::record::Facts;
use crate::{Error, Result};

/// One record of a database, as `export` writes it: a JSON object a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The device's fingerprint.
    pub device: String,
    /// The device's name.
    pub name: String,
    /// The software and its options.
    pub stack: String,
    /// The problem.
    pub problem: Problem,
    /// Every time measured, milliseconds.
    pub samples: Vec<f64>,
    /// When, in seconds since 1970.
    pub made: i64,
    /// What was seen besides the times.
    #[serde(default)]
    pub facts: Facts,
}

impl Row {
    /// Rows as lines.
    pub fn lines(rows: &[Self]) -> String {
        let lines = rows.iter().filter_map(|r| serde_json::to_string(r).ok());
        lines.map(|l| format!("{l}\n")).collect()
    }

    /// Rows from lines; `file` names them in messages.
    ///
    /// # Errors
    /// When a line is not a row, or its times cannot be.
    pub fn of_lines(text: &str, file: &str) -> Result<Vec<Self>> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(k, line)| {
                let wrong = |what: String| Error::Usage(format!("{file} line {}: {what}", k + 1));
                let row: Self = serde_json::from_str(line).map_err(|e| wrong(e.to_string()))?;
                if row.is_sound() {
                    Ok(row)
                } else {
                    Err(wrong("times that cannot be".to_owned()))
                }
            })
            .collect()
    }

    /// Whether its times can be.
    pub fn is_sound(&self) -> bool {
        !self.samples.is_empty() && self.samples.iter().all(|t| t.is_finite() && *t >= 0.0)
    }
}
