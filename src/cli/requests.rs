//! What a worker process is asked: the lines of its standard input.

use std::io::BufRead;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::interrupt;

/// How long a worker may go on when nobody waits for it any more.
const GRACE: Duration = Duration::from_secs(5);

/// The lines, read as they come, whatever the worker does meanwhile. Where they end, whoever started this process is gone or wants it to stop:
/// it is asked to, and ends some seconds later whatever it does.
pub(super) fn requests() -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::io::Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
        drop(sender);
        interrupt::stop().request();
        std::thread::sleep(GRACE);
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    });
    lines
}
