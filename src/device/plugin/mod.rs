//! Providers that ONNX Runtime loads as plug-ins, such as OpenVINO: they compile whole graphs, so only whole models are timed.

mod card;
mod device;
mod find;
mod openvino;
mod registered;
mod slot;

pub use device::PluginDevice;
pub use find::{Plugin, PluginChoice, installed_plugins};
pub use slot::{PluginSlot, PluginTarget};
