//! Flags of what is timed: one at a time on a device, and whether what is known counts.

use clap::Args as ClapArgs;

use crate::Result;
use crate::device::{Device, Stop, Turn};
use crate::optimize::ProgressReporter;

/// Flags of commands that time.
#[derive(Clone, Copy, Debug, Default, ClapArgs)]
pub struct TurnArgs {
    /// Fail where another snapprune times on this device, in place of waiting until it is done.
    #[arg(long)]
    pub no_wait: bool,
}

impl TurnArgs {
    /// The turn to time on a device; a wait for it is shown and noted. None is needed where nothing can be timed.
    ///
    /// # Errors
    /// When the device is another's and waiting was not wanted, or when it is asked to stop.
    pub(crate) fn take(
        self,
        device: &dyn Device,
        stop: &Stop,
        reporter: &dyn ProgressReporter,
    ) -> Result<Option<Turn>> {
        let told = |what: &str| {
            reporter.step("waiting for the device");
            reporter.note(what);
        };
        let take = || Turn::take(&device.unit(), !self.no_wait, stop, &told);
        device.is_here().then(take).transpose()
    }
}
