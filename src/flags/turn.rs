//! Flags of what is timed: one at a time on a device.

use clap::Args as ClapArgs;

use crate::device::WhenBusy;

/// Flags of commands that time.
#[derive(Clone, Copy, Debug, Default, ClapArgs)]
pub struct TurnArgs {
    /// Fail where another snapprune times on this device, in place of waiting until it is done.
    #[arg(long)]
    pub no_wait: bool,
}

impl TurnArgs {
    /// The same as a setting.
    pub fn on_busy(self) -> WhenBusy {
        if self.no_wait { WhenBusy::Fail } else { WhenBusy::Wait }
    }
}
