//! Video: a model as plain files with state that compute only the tiles of a frame that changed.

mod manifest;

pub use manifest::{CHANGED, FrameInput, Manifest, PROPERTY, Role, StageTiles, State, VERSION};
