//! Clocks, temperature and power while times are taken.

use serde::{Deserialize, Serialize};

/// What a GPU's management library shows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Clock of the multiprocessors, MHz.
    pub sm_mhz: u32,
    /// Clock of the memory, MHz.
    pub memory_mhz: u32,
    /// Temperature of the chip, degrees Celsius.
    pub celsius: u32,
    /// Power drawn, milliwatts.
    pub milliwatts: u32,
}

/// Reads a GPU's conditions through NVML.
pub(super) struct ConditionsReader {
    nvml: nvml_wrapper::Nvml,
    bus: String,
}

impl ConditionsReader {
    /// A reader for the GPU at a PCI address; `None` without NVML.
    pub(super) fn new(bus: String) -> Option<Self> {
        let nvml = nvml_wrapper::Nvml::init().ok()?;
        nvml.device_by_pci_bus_id(bus.as_str()).ok()?;
        Some(Self { nvml, bus })
    }

    pub(super) fn read(&self) -> Option<Conditions> {
        use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
        let device = self.nvml.device_by_pci_bus_id(self.bus.as_str()).ok()?;
        Some(Conditions {
            sm_mhz: device.clock_info(Clock::SM).ok()?,
            memory_mhz: device.clock_info(Clock::Memory).ok()?,
            celsius: device.temperature(TemperatureSensor::Gpu).ok()?,
            milliwatts: device.power_usage().unwrap_or(0),
        })
    }
}
