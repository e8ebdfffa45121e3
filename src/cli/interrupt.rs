//! Ctrl-C, and the signal that schedulers send: the job ends before its next run of a model, and cleans up behind itself.

use std::sync::OnceLock;

use crate::device::Stop;

/// The exit status of a command that was interrupted, as shells have it.
pub(super) const INTERRUPTED: u8 = 130;

/// This process's wish to stop.
pub(super) fn stop() -> &'static Stop {
    static STOP: OnceLock<Stop> = OnceLock::new();
    STOP.get_or_init(Stop::default)
}

/// From here on the first signal asks to stop (which a library that does not answer holds up no more than a moment), and the second
/// one ends the process at once. Files are written under other
/// names and then renamed, and the database writes whole transactions, so that neither leaves anything half done.
pub(super) fn listen() {
    // Without a handler the first signal ends the process, which is as safe.
    let _ = ctrlc::set_handler(|| {
        if stop().requested() {
            leave(INTERRUPTED);
        }
        stop().request();
        eprintln!("\nstopping (press Ctrl-C again to stop at once)");
    });
}

/// Ends the process at once. Nothing that libraries want done at its end is done: one that does not answer would hold that up, too.
pub(super) fn leave(status: u8) -> ! {
    // SAFETY: it takes a number and does not come back.
    unsafe { libc::_exit(libc::c_int::from(status)) }
}

/// A reader that closes the pipe (`| head`) ends the process quietly, as it does with other commands, in place of an error that the
/// runtime makes of it.
pub(super) fn end_with_reader() {
    #[cfg(unix)]
    // SAFETY: the default action takes no handler, and no other thread runs yet that would rely on another.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}
