//! Video files against the model that they are made of: frame after frame, the same outputs.

mod cli;
mod exact;
mod in_place;
mod nan;
mod play;
mod pools;
