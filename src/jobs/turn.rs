//! One job at a time on a device.

use crate::Result;
use crate::device::{Device, Stop, Turn, TurnEvent, WhenBusy};
use crate::optimize::{ProgressReporter, Step};

/// Takes the turn to time on a device; a wait for it is reported. `None` where nothing can be timed.
///
/// # Errors
/// When the device is busy and waiting is not wanted, or when the job is asked to stop.
pub fn take_turn(
    device: &dyn Device,
    busy: WhenBusy,
    stop: &Stop,
    reporter: &dyn ProgressReporter,
) -> Result<Option<Turn>> {
    let report = |event: TurnEvent| {
        reporter.step(Step::WaitForDevice);
        reporter.note(&event.to_string());
    };
    let take = || Turn::take(&device.unit(), busy, stop, &report);
    device.timer().map(|_| take()).transpose()
}
