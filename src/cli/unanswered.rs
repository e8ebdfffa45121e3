//! A library that does not answer: the job cannot be ended then, but the process can.

use std::time::Duration;

use super::interrupt;
use crate::Error;

/// How often calls into libraries are looked at.
const PATIENCE: Duration = Duration::from_millis(100);

/// From here on the process ends when a library does not answer: `told` says what came of the job, and gives the exit status. What was
/// timed is in the database, and files are whole: neither is written while a library is called.
pub(super) fn watch(told: fn(&Error) -> u8) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(PATIENCE);
            if let Some(error) = interrupt::stop().unanswered() {
                leave(told(&error));
            }
        }
    });
}

/// Ends the process at once. Nothing that libraries want done at its end is done: one that does not answer would hold that up, too.
pub(super) fn leave(status: u8) -> ! {
    // SAFETY: it takes a number and does not come back.
    unsafe { libc::_exit(libc::c_int::from(status)) }
}
