//! Channels that may go without any change of the outputs.

use std::collections::BTreeMap;

/// What must be added to a consumer's bias when a constant channel goes.
#[derive(Clone, Debug)]
pub struct Fold {
    /// Index of the consumer.
    pub node: usize,
    /// One addend for each output channel.
    pub bias: Vec<f32>,
}

/// Removable channels of each group.
#[derive(Clone, Debug, Default)]
pub struct Removable {
    /// Classes by group number, in order.
    pub classes: BTreeMap<usize, Vec<u32>>,
}

/// Finds channels that may go.
pub fn removable() -> Removable {
    Removable::default()
}
