//! A device that is not here: known from a recorded profile, so nothing can be timed on it.

use super::node_times::NodeTime;
use super::runtime::{Runtime, run_once, tensors};
use super::session_from_memory::commit;
use super::{Device, DeviceInfo, Named, Runner, Stop, Timed};
use crate::{Error, Result};

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
    fn stop(&self) -> Stop {
        self.runtime.stop.clone()
    }

    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn load(&self, _: &[u8], _: &[Named], _: bool) -> Result<Box<dyn Timed>> {
        Err(Error::Device(format!(
            "{} is not here; nothing can be timed on it. Run this on a machine that has it",
            self.info.name
        )))
    }

    fn outputs(&self, model: &[u8], inputs: &[Named]) -> Result<Vec<Named>> {
        let session = commit(self.runtime.builder(0, &[])?, model)?;
        Ok(tensors(run_once(session, inputs)?))
    }

    fn outputs_plain(&self, model: &[u8], inputs: &[Named]) -> Result<Vec<Named>> {
        Ok(tensors(self.runtime.run_plain(model, inputs)?))
    }

    fn runner(&self, model: &[u8]) -> Result<Runner> {
        let session = commit(self.runtime.builder(0, &[])?, model)?;
        Ok(Runner::new(session, &self.runtime.stop))
    }

    fn node_times(&self, _: &[u8], _: &[Named], _: usize, _: usize) -> Result<Option<Vec<NodeTime>>> {
        Ok(None)
    }

    fn is_here(&self) -> bool {
        false
    }
}
