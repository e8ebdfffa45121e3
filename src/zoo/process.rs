//! A worker process, seen from outside.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::failure::FailureKind;
use super::message::{Answer, Event, Job};
use crate::device::Stop;
use crate::error::tells_out_of_memory;
use crate::jobs::{Program, lines_of};
use crate::{Error, Result};

/// A process that does one job after the other. It ends when this value does, or the process that holds it.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    /// Closing it asks the process to stop.
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    log: Option<File>,
    /// Jobs done.
    pub done: usize,
}

/// How often the wish to stop is looked at.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long a process may take to stop by itself.
const GRACE: Duration = Duration::from_secs(10);
/// How much of a log is looked at for the reason of an end.
const TAIL: u64 = 4096;

impl Worker {
    /// Starts one, whose standard error goes to `log`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(super) fn start(program: &Program, log: Option<&File>) -> Result<Self> {
        let fail = |e| Error::file(&program.path, e);
        let copy = |log: &File| log.try_clone().map_err(fail);
        let stderr = log.map(copy).transpose()?.map_or_else(Stdio::null, Stdio::from);
        let mut child = Command::new(&program.path)
            .args(&program.args)
            .arg("zoo-worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(fail)?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let lines = lines_of(stdout);
        Ok(Self {
            child,
            stdin,
            lines,
            log: log.map(copy).transpose()?,
            done: 0,
        })
    }

    /// Does a job. After an answer that tells of a crash, a time-out or a stop the process is gone.
    pub(super) fn run(&mut self, job: &Job, limit: Option<Duration>, stop: &Stop) -> Answer {
        let line = serde_json::to_string(job).unwrap_or_default();
        let sent = self
            .stdin
            .as_mut()
            .map(|s| writeln!(s, "{line}").and_then(|()| s.flush()));
        if !matches!(sent, Some(Ok(()))) {
            return self.ended();
        }
        let limited = || limit.and_then(|l| Instant::now().checked_add(l));
        let mut end = limited();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                // What is no event comes from a library that writes where it should not.
                Ok(line) => match serde_json::from_str(&line) {
                    Ok(Event::Waiting) => end = None,
                    Ok(Event::Begun) => end = limited(),
                    Ok(Event::Answer(answer)) => {
                        self.done += 1;
                        return *answer;
                    }
                    Ok(Event::Step(_)) | Err(_) => {}
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.ended(),
            }
            if stop.requested() {
                self.close();
                return Answer::Stopped;
            }
            if end.is_some_and(|e| Instant::now() >= e) {
                self.kill();
                return Answer::Failed {
                    failure: FailureKind::Timeout,
                    reason: format!(
                        "it took longer than {}; allow more, or limit its probes with a time budget",
                        shown(limit.unwrap_or_default())
                    ),
                };
            }
        }
    }

    /// Asks the process to stop, and waits until it has.
    pub(super) fn close(&mut self) {
        self.stdin = None;
        let end = Instant::now() + GRACE;
        while Instant::now() < end {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        self.kill();
    }

    fn kill(&mut self) {
        self.stdin = None;
        // It may have ended just now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What the end of the process means.
    fn ended(&mut self) -> Answer {
        self.stdin = None;
        let status = self.child.wait();
        let said = self.last_words();
        let (failure, what) = match &status {
            Ok(status) => meaning(status, &said),
            Err(e) => (FailureKind::Crash, format!("its process ended ({e})")),
        };
        let reason = match said.lines().rev().map(str::trim).find(|l| !l.is_empty()) {
            Some(last) => format!("{what}; the last it said: {last}"),
            None => what,
        };
        Answer::Failed { failure, reason }
    }

    /// The end of the log.
    fn last_words(&self) -> String {
        let Some(log) = &self.log else {
            return String::new();
        };
        // At a place of its own: whoever still writes to the log goes on where it was.
        let read = || -> std::io::Result<Vec<u8>> {
            let end = log.metadata()?.len();
            let start = end.saturating_sub(TAIL);
            let mut bytes = vec![0; (end - start) as usize];
            let count = log.read_at(&mut bytes, start)?;
            bytes.truncate(count);
            Ok(bytes)
        };
        read().map_or(String::new(), |b| String::from_utf8_lossy(&b).into_owned())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.close();
    }
}

/// What an exit status means, with the last that the process said.
fn meaning(status: &ExitStatus, said: &str) -> (FailureKind, String) {
    use std::os::unix::process::ExitStatusExt;
    const ABORTED: i32 = 6;
    const KILLED: i32 = 9;
    match (status.signal(), status.code()) {
        (Some(KILLED), _) => (
            FailureKind::Memory,
            "its process was killed, as the system does when memory is short; give it more, or a smaller batch"
                .to_owned(),
        ),
        (Some(ABORTED), _) | (None, _) if tells_out_of_memory(said) => (
            FailureKind::Memory,
            "its process ran out of memory; give it more, or a smaller batch".to_owned(),
        ),
        (Some(signal), _) => {
            let name = match signal {
                4 => " (illegal instruction)",
                ABORTED => " (abort)",
                7 => " (bus error)",
                8 => " (arithmetic)",
                11 => " (segmentation fault)",
                15 => " (asked to end)",
                _ => "",
            };
            (
                FailureKind::Crash,
                format!(
                    "its process was ended by signal {signal}{name}; if ONNX Runtime runs the model, please report it"
                ),
            )
        }
        (None, code) => (
            FailureKind::Crash,
            format!("its process ended with status {} and no answer", code.unwrap_or(-1)),
        ),
    }
}

/// A time as users write it.
pub(super) fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 3600.0 && seconds % 3600.0 == 0.0 {
        format!("{}h", seconds / 3600.0)
    } else if seconds >= 60.0 && seconds % 60.0 == 0.0 {
        format!("{}m", seconds / 60.0)
    } else {
        format!("{seconds}s")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::{FailureKind, meaning};

    #[test]
    fn an_end_without_an_answer_is_told_by_its_signal_and_the_last_words() {
        let by = |signal: i32, said: &str| meaning(&ExitStatus::from_raw(signal), said).0;
        assert_eq!(by(9, ""), FailureKind::Memory);
        assert_eq!(by(11, ""), FailureKind::Crash);
        assert_eq!(by(6, "memory allocation of 123 bytes failed"), FailureKind::Memory);
        assert_eq!(
            by(6, "terminate called after throwing an instance of 'std::bad_alloc'"),
            FailureKind::Memory
        );
        assert_eq!(by(6, "assertion failed"), FailureKind::Crash);
        assert_eq!(meaning(&ExitStatus::from_raw(3 << 8), "").0, FailureKind::Crash);
    }
}
