//! What a model is for.

use serde::{Deserialize, Serialize};

/// What a model is for, which decides how its answers are read and compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// One class for each sample.
    #[default]
    Classify,
    /// Boxes with classes and scores.
    Detect,
    /// A class for each place of a map.
    Segment,
    /// A vector whose direction means something.
    Embed,
    /// A string, as the best class of every step with repeats and blanks left out (connectionist temporal classification).
    Ctc,
    /// Numbers.
    Regress,
}

impl TaskKind {
    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::Detect => "detect",
            Self::Segment => "segment",
            Self::Embed => "embed",
            Self::Ctc => "ctc",
            Self::Regress => "regress",
        }
    }
}

impl std::fmt::Display for TaskKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
