//! A device as the rest of the crate sees it.

use super::executor::Executor;
use super::info::DeviceInfo;
use super::stop::Stop;
use super::timer::Timer;
use crate::Result;
use crate::error::{DeviceError, Error};

/// A device: it runs models for their outputs and, where it is attached to this machine, times them.
pub trait Device: Executor {
    /// What it is.
    fn info(&self) -> &DeviceInfo;

    /// The timer; `None` for a device that is only known from a recorded profile.
    fn timer(&self) -> Option<&dyn Timer>;

    /// The timer of a device that must have one.
    ///
    /// # Errors
    /// [`DeviceError::Recorded`] where there is none.
    fn require_timer(&self) -> Result<&dyn Timer> {
        let recorded = || DeviceError::Recorded {
            name: self.info().name.clone(),
        };
        self.timer().ok_or_else(|| Error::Device(recorded()))
    }

    /// A name that tells it from the machine's other devices, whatever number this process knows it by.
    fn unit(&self) -> String {
        self.info().kind.name().to_owned()
    }

    /// The wish to stop that ends its sessions and runs.
    fn stop(&self) -> Stop {
        Stop::default()
    }
}
