//! Devices of the tests: they make the outputs that the processor makes, and take times of their own.

use snapprune::Result;
use snapprune::device::{CpuDevice, Device, DeviceInfo, Executor, NamedTensor, Runner, Stop, Timer};

use super::cpu;

/// The processor, with times as `times` says.
pub struct OnCpu<T> {
    pub inner: CpuDevice,
    pub info: DeviceInfo,
    pub stop: Stop,
    pub times: T,
    /// Bytes of a memory of its own.
    pub memory: Option<u64>,
}

impl<T> OnCpu<T> {
    pub fn timed_by(times: T) -> Self {
        let inner = cpu();
        Self {
            info: inner.info().clone(),
            inner,
            stop: Stop::default(),
            times,
            memory: None,
        }
    }
}

impl<T: Sync> Device for OnCpu<T>
where
    Self: Timer,
{
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(self)
    }

    fn stop(&self) -> Stop {
        self.stop.clone()
    }
}

impl<T: Sync> Executor for OnCpu<T> {
    fn outputs(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        self.inner.outputs(model, inputs)
    }

    fn outputs_plain(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        self.inner.outputs_plain(model, inputs)
    }

    fn runner(&self, model: &[u8]) -> Result<Runner> {
        self.inner.runner(model)
    }

    fn memory(&self) -> Option<u64> {
        self.memory
    }
}
