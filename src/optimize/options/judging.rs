//! What the user says of the model's task and of its outputs.

use crate::task::{Alphabet, TaskKind};

/// How a model's outputs are to be judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judging {
    /// What the model is for; `None`: it is recognized.
    pub task: Option<TaskKind>,
    /// How much the losses of outputs count, by name; 1 where none is given, 0: not at all.
    pub weights: Vec<(String, f64)>,
    /// The letters of a sequence model's classes, for labels that are texts.
    pub alphabet: Option<Alphabet>,
}

impl Judging {
    /// Whether the user said nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
