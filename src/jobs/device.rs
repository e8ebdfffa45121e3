//! The device that a job times on, and ONNX Runtime.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::device::{
    CpuDevice, CpuFallback, CudaDevice, CudaOptions, Device, DeviceKind, ForeignCall, PluginChoice, PluginDevice,
    Runtime, Stop, Timer, gpu_present, untested,
};

/// Which device is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// GPU 0 if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The NVIDIA GPU of this index.
    Gpu(usize),
    /// A plug-in's.
    Plugin,
}

/// Whether other settings of the provider than those given may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SettingsSearch {
    /// No, and none is tried.
    Off,
    /// No; what they would give is told.
    #[default]
    Given,
    /// The fastest are.
    Auto,
}

/// A device with the settings that its times depend on, and the library that runs models.
#[derive(Clone, Debug, Default)]
pub struct DeviceSettings {
    /// The device.
    pub choice: DeviceChoice,
    /// Threads within a node on the CPU; 0: as many as a plain session of ONNX Runtime has.
    pub threads: usize,
    /// Settings of the CUDA provider.
    pub cuda: CudaOptions,
    /// The plug-in, where it is the choice.
    pub plugin: PluginChoice,
    /// Whether others may be taken, where they are faster.
    pub search: SettingsSearch,
    /// ONNX Runtime's shared library; `None`: the one that is found.
    pub library: Option<PathBuf>,
}

impl DeviceSettings {
    /// Loads ONNX Runtime; `stop` ends what runs in it.
    ///
    /// # Errors
    /// When the library cannot be loaded.
    pub fn runtime(&self, stop: &Stop) -> Result<Runtime> {
        load_runtime(self.library.as_deref(), stop)
    }

    /// Opens the device.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open(&self, runtime: &Runtime) -> Result<Box<dyn Device>> {
        let gpu = match self.choice {
            DeviceChoice::Plugin => {
                let device = PluginDevice::new(runtime.clone(), &self.plugin, self.threads)?;
                crate::profile::smoke(&device, CpuFallback::Forbidden)?;
                return Ok(Box::new(device));
            }
            DeviceChoice::Gpu(index) => Some(index),
            DeviceChoice::Auto if gpu_present(runtime) => Some(0),
            DeviceChoice::Auto | DeviceChoice::Cpu => None,
        };
        Ok(match gpu {
            Some(index) => Box::new(CudaDevice::new(runtime.clone(), index, self.cuda)?),
            None => Box::new(CpuDevice::new(runtime.clone(), self.threads)),
        })
    }

    /// A line that says which device is used, with remarks on how it is used.
    pub fn describe(&self, device: &dyn Device) -> String {
        let info = device.info();
        let why = match (info.kind, self.choice) {
            (DeviceKind::Cpu, DeviceChoice::Auto) => " (no usable GPU found)",
            _ => "",
        };
        // A recorded device's version is not the one that runs here.
        let version = info
            .stack
            .split_whitespace()
            .nth(1)
            .filter(|_| device.timer().is_some());
        let remark = device.timer().and_then(Timer::remark).map(|r| r.to_string());
        let remarks = remark.into_iter().chain(version.and_then(untested));
        let remarks: String = remarks.map(|r| format!("; {r}")).collect();
        format!("{} · {}{why}{remarks}", info.name, info.stack)
    }
}

/// Loads ONNX Runtime; `stop` ends what runs in it.
///
/// # Errors
/// When the library cannot be loaded, or it is asked to stop.
pub fn load_runtime(library: Option<&Path>, stop: &Stop) -> Result<Runtime> {
    let _call = stop.enter(ForeignCall::Model)?;
    Ok(Runtime::load(library)?.stopped_by(stop))
}
