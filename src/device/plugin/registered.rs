//! A plug-in within ONNX Runtime: registered once, with the devices that it offers.

use std::ffi::CStr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ort::AsPointer;
use ort::device::Device;
use ort::memory::DeviceType;

use super::slot::{PluginSlot, PluginTarget};
use crate::device::runtime::Runtime;
use crate::error::DeviceError;
use crate::{Error, Result};

/// ONNX Runtime takes a library once; jobs that follow find its devices.
static REGISTERED: Mutex<Vec<std::path::PathBuf>> = Mutex::new(Vec::new());

/// Has ONNX Runtime load a plug-in.
///
/// # Errors
/// [`DeviceError::PluginNotLoaded`] with ONNX Runtime's reason.
pub(super) fn register(runtime: &Runtime, library: &Path) -> Result<()> {
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    if registered.iter().any(|r| r == library) {
        return Ok(());
    }
    let failed = |e: ort::Error| {
        Error::Device(DeviceError::PluginNotLoaded {
            library: library.to_path_buf(),
            version: runtime.version.clone(),
            why: e.to_string(),
        })
    };
    let name = format!("snapprune-{}", registered.len());
    runtime.environment.register_ep_library(name, library).map_err(failed)?;
    registered.push(library.to_path_buf());
    Ok(())
}

/// The kind of a device.
pub(super) fn target(device: &Device<'_>) -> PluginTarget {
    match device.hardware_device().ty() {
        DeviceType::CPU => PluginTarget::Cpu,
        DeviceType::GPU => PluginTarget::Gpu,
        _ => PluginTarget::Npu,
    }
}

/// The same in capitals.
pub(super) fn kind(device: &Device<'_>) -> &'static str {
    target(device).name()
}

/// The library that a device's provider came from, and what else the provider tells of it.
pub(super) fn metadata(device: &Device<'_>, key: &CStr) -> Option<String> {
    // SAFETY: the device is alive, and so are its pairs.
    unsafe { text_of((ort::api().EpDevice_EpMetadata)(device.ptr()), key) }
}

/// What ONNX Runtime tells of the hardware behind a device.
pub(super) fn hardware(device: &Device<'_>, key: &CStr) -> Option<String> {
    let api = ort::api();
    // SAFETY: as in `metadata`.
    unsafe {
        let hardware = (api.EpDevice_Device)(device.ptr());
        text_of((api.HardwareDevice_Metadata)(hardware), key)
    }
}

/// One of several pairs of texts.
///
/// # Safety
/// The pairs are alive, or null.
unsafe fn text_of(pairs: *const ort::sys::OrtKeyValuePairs, key: &CStr) -> Option<String> {
    if pairs.is_null() {
        return None;
    }
    // SAFETY: the caller's.
    let value = unsafe { (ort::api().GetKeyValue)(pairs, key.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: what is not null is a text that lives as long as the pairs.
    unsafe { CStr::from_ptr(value) }.to_str().ok().map(str::to_owned)
}

/// The device of a provider that is meant.
pub(super) fn find<'e>(runtime: &'e Runtime, provider: &str, slot: PluginSlot) -> Option<Device<'e>> {
    of(runtime, provider)
        .filter(|d| slot.kind == PluginTarget::Any || kind(d) == slot.kind.name())
        .nth(slot.index)
}

/// The devices of a provider.
pub(super) fn of<'e>(runtime: &'e Runtime, provider: &str) -> impl Iterator<Item = Device<'e>> {
    let devices = runtime.environment.devices();
    devices.filter(move |d| d.ep().is_ok_and(|name| name == provider))
}
