//! Video: a model as plain files with state that compute only the tiles of a frame that changed.

mod change;
mod depends;
mod emit;
mod emit_places;
mod emitter;
mod files;
mod local;
mod manifest;
mod need;
mod nodes;
mod numbers;
mod places;
mod plan;
mod scale;
mod split;
mod stage;
mod tables;
mod taps;
mod touched;
mod work;

pub use files::VideoModel;
pub use manifest::{CHANGE, CHANGED, FrameInput, Manifest, PROPERTY, Role, StageTiles, State, VERSION};
pub use numbers::Numbers;
pub use plan::VideoPlan;
pub use split::{CutFor, planned};
pub use touched::TouchedTiles;
