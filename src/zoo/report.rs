//! The report of a zoo as files: for programs, for spreadsheets, for people.

use std::path::Path;

use super::page::page;
use super::summary::{ZooSummary, csv};
use crate::Result;
use crate::onnx::save;

/// Writes `zoo.json`, `zoo.csv` and `zoo.html` into the output folder.
///
/// # Errors
/// When one cannot be written.
pub fn write_report(out: &Path, summary: &ZooSummary) -> Result<()> {
    let text = serde_json::to_string_pretty(summary).unwrap_or_default();
    save(&out.join("zoo.json"), format!("{text}\n").as_bytes())?;
    save(&out.join("zoo.csv"), csv(summary).as_bytes())?;
    let folder = out.canonicalize().ok();
    let name = folder.and_then(|o| o.file_name().map(|n| n.to_string_lossy().into_owned()));
    let page = page(&name.unwrap_or_else(|| "zoo".to_owned()), summary)?;
    save(&out.join("zoo.html"), page.as_bytes())
}
