//! snapprune snaps the channel counts of an ONNX CNN to widths at which the machine wastes nothing.
//!
//! The modules are the flow of the data, in this order; each knows only those before it:
//! [`onnx`] (the file) → [`channels`] (which axes change together) → [`target`] (the device) →
//! [`profile`] (what a width costs) → [`plan`] (which widths) → [`rewrite`] (make it so) → [`gate`] (what can be
//! skipped for this input) →
//! [`verify`] (is it true) → [`report`] (show it); [`zoo`] does it for many models, and [`cli`] stands on all of them.

pub mod channels;
pub mod cli;
pub mod data;
pub mod device;
pub mod error;
pub mod fused;
pub mod gate;
pub mod onnx;
pub mod optimize;
pub mod plan;
pub mod profile;
#[cfg(feature = "python")]
mod python;
pub mod reconstruct;
pub mod report;
pub mod rewrite;
pub mod score;
pub mod verify;
pub mod zoo;

pub use error::{Error, Result};
