//! Records of any device as text, one a line: what goes from machine to machine.

use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::record::RecordFacts;
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
    pub facts: RecordFacts,
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

    /// Why it serves nobody any more but with `--allow-mismatch`, if that is so: earlier versions did not look at all that times
    /// depend on.
    pub fn former(&self) -> Option<&'static str> {
        let cuda = self.stack.split_whitespace().any(|w| w == "cuda");
        if cuda && !self.stack.contains(" cudnn=") {
            return Some(
                "from an earlier version, with whatever CUDA and cuDNN: used only where a mismatch is allowed",
            );
        }
        if self.stack.contains(" precision=") && !self.stack.contains(" chains=") {
            return Some(
                "from an earlier version, which counted what reads a layer's output or its input with the layer: used only where a mismatch is allowed",
            );
        }
        if matches!(self.name.as_str(), "aarch64" | "arm") {
            return Some("from an earlier version, of whatever ARM processor: used only where a mismatch is allowed");
        }
        match self.stack.split_once(" cpu threads=") {
            Some((_, "0")) => Some(
                "from an earlier version, with whatever number of threads and spinning between runs: used only where a mismatch is allowed",
            ),
            Some((_, threads)) if !is_one(threads) && !threads.contains(" idle=") => Some(
                "from an earlier version, with threads that spin between runs: used only where a mismatch is allowed",
            ),
            _ => None,
        }
    }

    /// Whether its times can be.
    pub fn is_sound(&self) -> bool {
        !self.samples.is_empty() && self.samples.iter().all(|t| t.is_finite() && *t >= 0.0)
    }
}

/// Whether a stack's threads are one, which has none to wait for.
fn is_one(threads: &str) -> bool {
    threads.split_whitespace().next() == Some("1")
}

#[cfg(test)]
mod tests {
    use super::Row;
    use crate::profile::Problem;

    #[test]
    fn rows_of_earlier_versions_that_serve_no_more_are_told() {
        let of = |name: &str, stack: &str| Row {
            device: "0123".to_owned(),
            name: name.to_owned(),
            stack: stack.to_owned(),
            problem: Problem::plain(8, 8, 4),
            samples: vec![1.0],
            made: 0,
            facts: super::RecordFacts::default(),
        };
        let on = |threads: &str| format!("onnxruntime 1.31.1 cpu threads={threads}");
        let plugin = "onnxruntime 1.31.1 OpenVINOExecutionProvider 1.8.1 device=CPU";
        let algo = "cudnn_conv_algo_search=exhaustive";
        for (name, stack, serves) in [
            (
                "NVIDIA H200",
                format!("onnxruntime 1.31.1 cuda driver=580 {algo}"),
                false,
            ),
            (
                "NVIDIA H200",
                format!("onnxruntime 1.31.1 cuda driver=580 cudnn=9.28.1 {algo}"),
                true,
            ),
            (
                "NVIDIA H200",
                format!("onnxruntime 1.31.1 cuda driver=580 cudnn=unknown {algo}"),
                true,
            ),
            ("AMD EPYC", format!("{plugin} precision=default"), false),
            ("AMD EPYC", format!("{plugin} precision=f32 chains=2"), true),
            ("aarch64", "onnxruntime 1.31.1 cpu threads=1".to_owned(), false),
            ("Neoverse N1", "onnxruntime 1.31.1 cpu threads=1".to_owned(), true),
            (
                "AMD EPYC 7763 64-Core Processor",
                "onnxruntime 1.31.1 cpu threads=1".to_owned(),
                true,
            ),
            ("Neoverse N1", on("0"), false),
            ("Neoverse N1", on("2"), false),
            ("Neoverse N1", on("16"), false),
            ("Neoverse N1", on("2 (default)"), false),
            ("Neoverse N1", on("1 (default)"), true),
            ("Neoverse N1", on("2 idle=sleep"), true),
            ("Neoverse N1", on("2 (default) idle=sleep"), true),
        ] {
            assert_eq!(of(name, &stack).former().is_none(), serves, "{name} {stack}");
        }
    }
}
