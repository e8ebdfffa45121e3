//! A model with what was found out about it.

use std::collections::BTreeMap;

use crate::Result;
use crate::channels::{Analysis, Constraint};
use crate::device::InputSpec;
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, Model};
use crate::plan::PerMetric;
use crate::profile::{Described, LeftOut};

/// A model with what was found out about it.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub model: Model,
    /// The message that is worked on: the file's, without notes on inner values if those were wrong.
    pub proto: ModelProto,
    /// The inputs with settled shapes.
    pub specs: Vec<InputSpec>,
    /// The channels.
    pub analysis: Analysis,
    /// What it takes of each counted metric.
    pub counted: PerMetric<u64>,
    /// The convolutions that are timed, by node index, ascending.
    pub timed: Vec<usize>,
    /// The layers that are not worked on.
    pub left_out: Vec<LeftOut>,
    /// The groups that stay because of them, though the graph leaves them free.
    pub held: BTreeMap<usize, Constraint>,
    /// The groups that lose channels only where nothing is lost, though they are free: no weights of theirs could make up for it.
    pub never_lossy: BTreeMap<usize, Constraint>,
    /// The layers with quantized weights, in words.
    pub quantized: Vec<Described>,
    /// What the user should know about the file.
    pub notes: Vec<String>,
}

impl Opened {
    /// Look-ups over the message that is worked on.
    ///
    /// # Errors
    /// None for an opened model.
    pub fn graph(&self) -> Result<Graph<'_>> {
        Graph::of(&self.proto)
    }

    /// What multiply-accumulates are counted for: `sample`, or a whole `run` where it is not known how many samples that is.
    pub fn macs_per(&self) -> &'static str {
        let single = self.specs.iter().all(|s| s.dims.first().is_none_or(|&d| d == 1));
        if single || self.analysis.samples > 1 {
            "sample"
        } else {
            "run"
        }
    }
}
