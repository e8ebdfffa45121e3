//! A library that does not answer: the job cannot be ended then, but the process can.

use std::time::Duration;

use super::interrupt;
use crate::Error;

/// How often calls into libraries are looked at.
const PATIENCE: Duration = Duration::from_millis(100);

/// From here on the process ends when a library does not answer: `told` says what came of the job, and gives the exit status. Other
/// threads may be writing just then: the database takes whole transactions, and files appear by renaming, so that neither is left half done.
pub(super) fn watch(told: fn(&Error) -> u8) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(PATIENCE);
            if let Some(error) = interrupt::stop().unanswered() {
                interrupt::leave(told(&error));
            }
        }
    });
}
