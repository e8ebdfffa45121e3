//! Moments of channels: how operators change means and variances that are followed through a graph. A rule is a function over
//! [`MomentsInput`]; the registry of operators says which operator has which.

pub mod arrange;
mod channel_moments;
mod constants;
mod input;
pub mod linear;
pub mod normalize;
pub mod pointwise;
pub mod spatial;

pub use channel_moments::{ChannelMoments, Guess, PLACES, on_axis, place, pooled};
pub use input::{MomentsInput, MomentsRule};
