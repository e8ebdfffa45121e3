//! A thread that is left behind in a library which does not answer, and what it means for the end of the process.

use std::thread::JoinHandle;

/// No other job begins in the process until the thread comes back; the process may go on with other things. Its end must not wait for that library: a lock
/// that it holds, such as that of the system's loader, is wanted there. So a process that ends before the thread comes back does so as soon as
/// Python has done all of its own.
pub(super) fn leave_behind<T: Send + 'static>(thread: JoinHandle<T>) {
    crate::device::leave_behind(thread);
    // Each time: what libraries loaded meanwhile want done at the end comes behind it.
    // SAFETY: the function stays where it is as long as the process.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        on_exit(leave, std::ptr::null_mut());
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
unsafe extern "C" {
    /// The C library's: `leave` is called with the status of the process before anything that was there earlier.
    fn on_exit(leave: extern "C" fn(libc::c_int, *mut libc::c_void), given: *mut libc::c_void) -> libc::c_int;
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
extern "C" fn leave(status: libc::c_int, _: *mut libc::c_void) {
    if crate::device::check_left_behind().is_err() {
        // SAFETY: it takes a number and does not come back.
        unsafe { libc::_exit(status) }
    }
}
