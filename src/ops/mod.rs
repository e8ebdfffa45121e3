//! What the operators of convolutional networks compute, read from a node in one place: the geometry of sliding windows,
//! linear operators with their weights and multiply-accumulates, and scalings of channels. Everything here needs the file
//! only; how axes depend on one another is the matter of [`crate::channels`].

mod channel_affine;
mod conv_spec;
mod dequantized;
mod granularity;
mod integers;
mod linear_kind;
mod linear_op;
mod movement;
pub mod scalar;

pub use channel_affine::{ChannelAffine, is_batch_norm};
pub use conv_spec::{ConvSpec, Direction, Padding, groups};
pub use dequantized::{Dequantized, float_constant, float_constant_dims};
pub use granularity::Granularity;
pub use integers::{integer_limits, with_integers};
pub use linear_kind::{LinearKind, LinearSpec, QuantizedInputs};
pub use linear_op::{Form, LinearOp};
pub use movement::Movement;
