//! What makes a model equal to another.

use serde::{Deserialize, Serialize};

use super::pair::Pair;

/// What was rotated and what stands as two layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reparametrization {
    /// Values of the rotated trunks, one of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rotated: Vec<String>,
    /// Layers that stand as two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<Pair>,
}

impl Reparametrization {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.rotated.is_empty() && self.pairs.is_empty()
    }
}
