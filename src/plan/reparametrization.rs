//! What makes a model equal to another that is better to plan from.

use serde::{Deserialize, Serialize};

/// A layer that stands as two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// What the layer is called in the original, and the first of both in the equal model.
    pub layer: String,
    /// The value between both.
    pub inner: String,
    /// What the layer makes, and the second of both.
    pub output: String,
}

/// What was rotated and what stands as two layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reparametrization {
    /// Values of the rotated trunks, one of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rotated: Vec<String>,
    /// Layers that stand as two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<Pair>,
    /// The seed of the places of samples that directions are told by.
    #[serde(default)]
    pub seed: u64,
    /// A hash of the samples that tell the directions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<String>,
}

impl Reparametrization {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.rotated.is_empty() && self.pairs.is_empty()
    }
}
