//! A device that is not here: known from a recorded profile, so nothing can be timed on it.

use super::device_tensor::Runner;
use super::executor::Executor;
use super::info::DeviceInfo;
use super::interface::Device;
use super::runtime::{Runtime, run_once, tensors};
use super::session_from_memory::commit;
use super::stop::Stop;
use super::timer::Timer;
use super::values::NamedTensor;
use crate::Result;

/// The device of a recorded profile. Models run on this machine's CPU, for their outputs only.
#[derive(Debug)]
pub struct RecordedDevice {
    runtime: Runtime,
    info: DeviceInfo,
}

impl RecordedDevice {
    /// The device that a profile was recorded on.
    pub fn new(runtime: Runtime, info: DeviceInfo) -> Self {
        Self { runtime, info }
    }
}

impl Device for RecordedDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn timer(&self) -> Option<&dyn Timer> {
        None
    }

    fn stop(&self) -> Stop {
        self.runtime.stop.clone()
    }
}

impl Executor for RecordedDevice {
    fn outputs(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        let session = commit(self.runtime.builder(0, &[])?, model, &self.runtime.stop)?;
        Ok(tensors(run_once(session, inputs, &self.runtime.stop)?))
    }

    fn outputs_plain(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        Ok(tensors(self.runtime.run_plain(model, inputs)?))
    }

    fn runner(&self, model: &[u8]) -> Result<Runner> {
        let session = commit(self.runtime.builder(0, &[])?, model, &self.runtime.stop)?;
        Ok(Runner::new(session, &self.runtime.stop))
    }
}
