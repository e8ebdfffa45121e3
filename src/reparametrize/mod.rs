//! Equal models whose widths can be cut at less loss: linear trunks in principal directions, and layers as two.
//!
//! Where nothing but linear layers and additions make and read values, any invertible matrix may stand between: the outputs stay the
//! same up to rounding. With the directions that the readers feel most in front, channels that go are those that matter least.

mod basis;
mod covariances;
mod pair;
mod rotate;
mod trunk;

pub use basis::Basis;
pub use covariances::{Covariances, Watched};
pub use pair::{break_even, factorable, with_pairs};
pub use rotate::rotate;
pub use trunk::{Producer, Trunk, is_held_by_type, trunk};
