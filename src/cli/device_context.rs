//! Where a job is done: the device, what is known of it, and where new times are kept.

use std::collections::HashSet;
use std::path::Path;

use super::args::{DeviceArgs, StoreArgs};
use super::setup;
use super::work_args::WorkArgs;
use crate::Result;
use crate::device::{Device, RecordedDevice, Runtime, Stop, Turn};
use crate::profile::{Database, Profile};

/// A device with its times.
pub(crate) struct DeviceContext {
    pub runtime: Runtime,
    pub device: Box<dyn Device>,
    /// Times recorded earlier.
    pub recorded: Option<Profile>,
    /// The latency database.
    pub database: Option<Database>,
    /// Problems (their keys) that need not be timed.
    pub pruned: HashSet<String>,
    /// The turn to time on the device, where it was taken already.
    pub turn: Option<Turn>,
}

impl DeviceContext {
    /// What the flags of the work name.
    ///
    /// # Errors
    /// When the device is not there, or a file cannot be read.
    pub(crate) fn of(work: &WorkArgs, stop: &Stop) -> Result<Self> {
        Self::with(&work.device, work.planning.profile.as_deref(), &work.store, stop)
    }

    /// The device of the flags; that of a recorded profile where it is another one and the flags name none.
    ///
    /// # Errors
    /// When the device is not there, or a file cannot be read.
    pub(crate) fn with(device: &DeviceArgs, profile: Option<&Path>, store: &StoreArgs, stop: &Stop) -> Result<Self> {
        let recorded = profile.map(Profile::read).transpose()?;
        let database = setup::store(store)?;
        let runtime = Runtime::load(device.ort_lib.as_deref())?.stopped_by(stop);
        let runtime = runtime.with_threads(device.threads);
        let mut chosen = setup::device(&runtime, device)?;
        if let Some(profile) = &recorded
            && !chosen.info().answers_to(&profile.device.fingerprint)
            && !device.cpu
            && device.gpu.is_none()
        {
            chosen = Box::new(RecordedDevice::new(runtime.clone(), profile.device.clone()));
        }
        Ok(Self {
            runtime,
            device: chosen,
            recorded,
            database,
            pruned: HashSet::new(),
            turn: None,
        })
    }

    /// The same device, where nothing is timed any more.
    pub(crate) fn of_known_times(mut self) -> Self {
        self.device = Box::new(RecordedDevice::new(self.runtime.clone(), self.device.info().clone()));
        self
    }
}
