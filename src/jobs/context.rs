//! Where a job is done: the device, what is known of it, and where new times are kept.

use std::collections::HashSet;
use std::path::Path;

use super::device::{DeviceChoice, DeviceSettings};
use super::store::StoreSettings;
use crate::Result;
use crate::device::{Device, RecordedDevice, Runtime, Stop, Turn};
use crate::profile::{Database, Problem, Profile};

/// A device with its times.
pub struct DeviceContext {
    /// The loaded library.
    pub runtime: Runtime,
    /// The device.
    pub device: Box<dyn Device>,
    /// Times recorded earlier.
    pub recorded: Option<Profile>,
    /// The latency database.
    pub database: Option<Database>,
    /// Problems that need not be timed.
    pub pruned: HashSet<Problem>,
    /// The turn to time on the device, where it was taken already.
    pub turn: Option<Turn>,
}

impl DeviceContext {
    /// Opens the device of the settings. Where they leave the choice open and a recorded profile is of a device that is not here,
    /// it is that one.
    ///
    /// # Errors
    /// When the device is not there, or a file cannot be read.
    pub fn open(settings: &DeviceSettings, profile: Option<&Path>, store: &StoreSettings, stop: &Stop) -> Result<Self> {
        let recorded = profile.map(Profile::read).transpose()?;
        let database = store.open()?;
        let runtime = settings.runtime(stop)?.with_threads(settings.threads);
        let mut device = settings.open(&runtime)?;
        if let Some(profile) = &recorded
            && !device.info().answers_to(&profile.device.fingerprint)
            && settings.choice == DeviceChoice::Auto
        {
            device = Box::new(RecordedDevice::new(runtime.clone(), profile.device.clone()));
        }
        Ok(Self {
            runtime,
            device,
            recorded,
            database,
            pruned: HashSet::new(),
            turn: None,
        })
    }

    /// The same device, where nothing is timed any more.
    #[must_use]
    pub fn of_known_times(mut self) -> Self {
        self.device = Box::new(RecordedDevice::new(self.runtime.clone(), self.device.info().clone()));
        self
    }
}
