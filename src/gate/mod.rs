//! The attention-gated variant: for each input, attention chooses which tiles and which channels are computed.
//!
//! Every number that is kept is fixed, so all shapes are static: the greatest scores are taken, rows of memory are
//! gathered, the block's own convolutions run on less, and the rest takes its calibrated mean. Standard operators only.

mod attend;
mod block;
mod branch;
mod calibrate;
mod chain;
mod choices;
mod convolve;
mod damping;
mod detect;
mod emit;
mod emitter;
mod excite;
mod excited;
mod fold;
mod fused;
mod layer;
mod made_up;
mod opset;
mod patch;
mod pattern;
mod reader;
mod regress;
mod spec;
mod statistics;
mod tiles;
mod turned;
mod window;

pub use block::{Block, BranchStep};
pub use calibrate::{
    Attention, AttentionOrigin, best, channel_attentions, channel_gate, fitting, retained_energy, tile_attentions,
    tile_gate,
};
pub use choices::{ChannelChoice, Readers, channel_choices};
pub use detect::blocks;
pub use excite::Excite;
pub use fold::fold_factors;
pub use fused::fusible;
pub use layer::BranchLayer;
pub use made_up::MadeUp;
pub use opset::raise_opset;
pub(crate) use patch::drop_unread;
pub use patch::gated;
pub use pattern::Reason;
pub use reader::ReaderView;
pub use spec::{ChannelGate, Gate, GateForm, TileGate};
pub use statistics::{GateStatistics, PartKind, Table, advance, pairs, seen_channels, seen_tiles};
pub use window::{Tile, Tiling, Window, tilings};
