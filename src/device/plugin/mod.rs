//! Providers that ONNX Runtime loads as plug-ins, such as OpenVINO: they compile whole graphs, so only whole models are timed.

mod device;
mod find;
mod openvino;
mod registered;

pub use device::PluginDevice;
pub use find::{Plugin, PluginChoice, PluginTarget, installed_plugins};
