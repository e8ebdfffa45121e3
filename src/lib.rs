//! snapprune snaps the channel counts of an ONNX CNN to widths at which the machine wastes nothing.
//!
//! The modules follow the flow of the data, each uses only those before it (`docs/architecture.md` gives the order and what each owns):
//! [`onnx`] (the file) → [`ops`] (what operators compute) → [`channels`] (which axes change together) → [`device`] and [`data`] (where and on what it runs) →
//! [`profile`] (what a width costs) → [`score`] (what a channel is worth) → [`plan`] (which widths) → [`rewrite`] and
//! [`reconstruct`] (make it so), with [`reparametrize`] (equal models that are better to cut) → [`gate`] (what can be skipped for this input) → [`video`] (what changed since the last frame) → [`verify`] (is it true) → [`optimize`] (the job) →
//! [`report`] (show it); [`jobs`] are what the program does, [`zoo`] does it for many models, [`flags`] say how it is asked for, and [`cli`] stands on all of them.

pub mod channels;
pub mod cli;
pub mod data;
pub mod device;
pub mod distill;
pub mod error;
pub mod flags;
pub mod fused;
pub mod gate;
pub mod jobs;
pub mod onnx;
pub mod ops;
pub mod optimize;
pub mod plan;
pub mod playback;
pub mod profile;
#[cfg(feature = "python")]
mod python;
pub mod reconstruct;
pub mod reparametrize;
pub mod report;
pub mod rewrite;
pub mod score;
pub mod task;
pub mod verify;
pub mod video;
pub mod zoo;

pub use error::{Error, Result};
pub use playback::Video;
