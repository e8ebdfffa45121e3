//! What comes out of a search for video files.

use serde::Serialize;

/// A file that was made.
#[derive(Clone, Debug, Serialize)]
pub struct VideoFile {
    /// `dense`, or per cent of the tiles.
    pub part: String,
    /// The share of the frame's tiles that it computes.
    pub share: f64,
    /// What a run takes, in milliseconds.
    pub ms: f64,
    /// The same over the model's.
    pub ratio: f64,
    /// Tiles of each stage that it computes.
    pub computed: Vec<usize>,
    /// The model.
    #[serde(skip)]
    pub model: Vec<u8>,
}

/// A stage as reports show it.
#[derive(Clone, Debug, Serialize)]
pub struct VideoStage {
    /// Its last map.
    pub name: String,
    /// Tiles.
    pub tiles: usize,
    /// Nodes.
    pub nodes: usize,
    /// Rows and columns of a tile.
    pub tile: [usize; 2],
    /// Places of all windows over places of the map.
    pub windows: f64,
}

/// What came out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct VideoOutcome {
    /// The stages.
    pub stages: Vec<VideoStage>,
    /// The files, the whole one first.
    pub files: Vec<VideoFile>,
    /// What the model takes, in milliseconds.
    pub original_ms: f64,
    /// The share of changed tiles from which the model itself is faster.
    pub limit: f64,
    /// The share of a map's range that counts as change; 0 is exact.
    pub threshold: f64,
    /// Frames that the threshold was chosen on, and frames that it was judged on.
    pub frames: [usize; 2],
    /// The largest difference of the exact files' outputs from the model's, over their range.
    pub exact_difference: Option<f64>,
    /// What the outputs lost on the frames that it was judged on.
    pub loss: Option<f64>,
    /// The number of the task that the loss is of.
    pub measure: String,
    /// Mean share of the frame's tiles that changed on these frames.
    pub changed: f64,
    /// What a frame is expected to take there, from the times of the files that were taken, over what the model takes.
    pub predicted_ratio: f64,
    /// Why there are no files.
    pub declined: Option<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}
