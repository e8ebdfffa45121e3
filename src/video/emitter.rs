//! What the graph of a video file is made with, and what its states are called.

use std::collections::HashMap;

use super::nodes::Nodes;
use super::numbers::Numbers;
use super::plan::VideoPlan;
use super::taps::{Outside, Taps};
use crate::onnx::Graph;

/// Frames so far.
pub(super) const COUNTER: &str = "snapprune_frames";

/// What a state is called as an output.
pub(super) fn next(state: &str) -> String {
    format!("{state}_next")
}

/// The state that holds a kept map, as rows of pixels.
pub(super) fn map_state(index: usize) -> String {
    format!("snapprune_map_{index}")
}

/// The state that holds what each tile of a stage missed.
pub(super) fn pending_state(stage: usize) -> String {
    format!("snapprune_pending_{stage}")
}

/// What the graph of a file is made with.
pub(super) struct Emitter<'a> {
    pub nodes: Nodes,
    pub graph: &'a Graph<'a>,
    pub plan: &'a VideoPlan,
    pub numbers: &'a Numbers,
    /// By kept map and frame: how much each place changed, as a share of its range.
    pub changes: HashMap<String, String>,
    /// By number of tiles: whose turn it is.
    pub turns: HashMap<usize, String>,
    /// Constants with the taps of all places.
    pub tables: HashMap<(Taps, Outside), String>,
}
