//! A model with what was found out about it.

use std::collections::BTreeMap;

use crate::Result;
use crate::channels::{Analysis, Constraint, Group, Shapes};
use crate::device::InputSpec;
use crate::onnx::proto::ModelProto;
use crate::onnx::{Graph, Model};
use crate::plan::{Pair, PerMetric, Reparametrization};
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
    /// The shapes of all values.
    pub shapes: Shapes,
    /// Where the message is not the file's but one that makes the same outputs: what it is equal to.
    pub equal_to: Option<EqualTo>,
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

/// What a message is equal to, and how it differs.
#[derive(Clone, Debug)]
pub struct EqualTo {
    /// The original's message.
    pub original: ModelProto,
    /// What was rotated and what stands as two layers.
    pub moves: Reparametrization,
}

/// What was done to a group's values before any went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveOf<'o> {
    /// They are principal directions of a trunk.
    Rotation,
    /// They stand between two layers that were one.
    Rank(&'o Pair),
}

impl Opened {
    /// The message that every plan is compared with: the file's.
    pub fn original(&self) -> &ModelProto {
        self.equal_to.as_ref().map_or(&self.proto, |e| &e.original)
    }

    /// Whether a group is that of a rotated trunk or of what stands between two layers that were one.
    pub fn is_moved(&self, group: &Group) -> bool {
        self.move_of(group).is_some()
    }

    /// What was done to a group's values.
    pub fn move_of(&self, group: &Group) -> Option<MoveOf<'_>> {
        let moves = &self.equal_to.as_ref()?.moves;
        let named = |name: &String| {
            let places = group.places.iter();
            places
                .map(|(v, _)| &self.analysis.dependencies.value(*v).name)
                .any(|n| n == name)
        };
        let pair = moves.pairs.iter().find(|p| named(&p.inner));
        pair.map(MoveOf::Rank)
            .or_else(|| moves.rotated.iter().any(named).then_some(MoveOf::Rotation))
    }

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
