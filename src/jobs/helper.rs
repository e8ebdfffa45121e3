//! A helper process of a job on a GPU, and what it is started for.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::device::{DeviceChoice, DeviceSettings};
use super::helper_message::{Answer, Request};
use super::program::{Program, lines_of};
use crate::device::{CudaOptions, Device, DeviceKind, NodeClock, Runtime, Stop, cores};
use crate::{Error, Result};

/// Helpers at most.
const MOST: usize = 8;
/// Bytes of the GPU's memory for which there is one helper: each has a context of its own.
const BYTES: f64 = 8e9;
/// How long the end of one is waited for.
const LEAVE: Duration = Duration::from_secs(2);
/// How often the wish to stop is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// What helpers are started for: a GPU with settings of the provider.
#[derive(Clone)]
pub(super) struct Opening {
    /// What is started.
    pub program: Program,
    /// What it is asked first.
    pub open: Request,
    /// What runs models here, which must be the same there.
    pub stack: String,
    /// Helpers at most.
    pub count: usize,
    /// Ends whatever is waited for.
    pub stop: Stop,
}

impl Opening {
    /// For a device; `None` where helpers would gain nothing, or there is no program to start.
    pub fn of(
        settings: &DeviceSettings,
        options: CudaOptions,
        (device, runtime): (&dyn Device, &Runtime),
    ) -> Option<Self> {
        let (info, timer) = (device.info(), device.timer()?);
        if info.kind != DeviceKind::Cuda || timer.node_clock() != NodeClock::Device {
            return None;
        }
        let memory: f64 = info.facts.get("memory_bytes")?.parse().ok()?;
        let count = (cores() / 2).min((memory / BYTES) as usize).min(MOST);
        let gpu = match settings.choice {
            DeviceChoice::Gpu(index) => index,
            _ => 0,
        };
        (count > 1).then_some(Self {
            program: Program::known()?,
            open: Request::Open {
                library: PathBuf::from(&runtime.library),
                gpu,
                options,
            },
            stack: info.stack.clone(),
            count,
            stop: runtime.stop.clone(),
        })
    }

    /// Starts a helper, which is ready once [`Self::check`] says so.
    ///
    /// # Errors
    /// When the program does not start.
    pub fn start(&self) -> Result<Helper> {
        let mut helper = Helper::start(&self.program)?;
        helper.ask(&self.open)?;
        Ok(helper)
    }

    /// Waits until a helper has opened the device.
    ///
    /// # Errors
    /// When it does not, or runs models by something else than this process.
    pub fn check(&self, helper: &Helper, end: Instant) -> Result<()> {
        match helper.answer(end, &self.stop)? {
            Answer::Opened { stack } if stack == self.stack => Ok(()),
            Answer::Opened { stack } => Err(Error::device(format!("a helper process runs models by {stack}"))),
            other => Err(other.unexpected()),
        }
    }
}

impl Answer {
    /// The error that this is where something else is waited for.
    pub fn unexpected(self) -> Error {
        Error::device(match self {
            Self::Failed(why) => format!("a helper process: {why}"),
            _ => "a helper process answered out of turn".to_owned(),
        })
    }
}

/// One of the processes.
pub(super) struct Helper {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Helper {
    fn start(program: &Program) -> Result<Self> {
        let mut child = Command::new(&program.path)
            .args(&program.args)
            .arg("probe-worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| Error::file(&program.path, e))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let lines = lines_of(stdout);
        Ok(Self { child, stdin, lines })
    }

    /// Asks it something.
    ///
    /// # Errors
    /// When it is gone.
    pub fn ask(&mut self, what: &Request) -> Result<()> {
        let line = serde_json::to_string(what).unwrap_or_default();
        let said = self
            .stdin
            .as_mut()
            .map(|s| writeln!(s, "{line}").and_then(|()| s.flush()));
        match said {
            Some(Ok(())) => Ok(()),
            _ => Err(Error::device("a helper process is gone".to_owned())),
        }
    }

    /// What it answers until `end`.
    ///
    /// # Errors
    /// When it is gone, does not answer in time, or the job is asked to stop.
    pub fn answer(&self, end: Instant, stop: &Stop) -> Result<Answer> {
        loop {
            match self.lines.recv_timeout(GLANCE) {
                // What is no answer comes from a library that writes where it should not.
                Ok(line) => {
                    if let Ok(answer) = serde_json::from_str(&line) {
                        return Ok(answer);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::device("a helper process is gone".to_owned()));
                }
            }
            stop.check()?;
            if Instant::now() >= end {
                return Err(Error::device("a helper process does not answer".to_owned()));
            }
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.stdin = None;
        // It may have ended just now. One that the driver holds ends when it lets go, which is not waited for.
        let _ = self.child.kill();
        let end = Instant::now() + LEAVE;
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(GLANCE);
        }
    }
}

#[cfg(all(test, unix))]
impl Opening {
    /// For processes that do what a script says, two at most.
    pub fn of_script(script: &str, stop: &Stop) -> Self {
        Self {
            program: Program {
                path: PathBuf::from("/bin/sh"),
                args: vec!["-c".to_owned(), script.to_owned()],
            },
            open: Request::Open {
                library: PathBuf::from("libonnxruntime.so"),
                gpu: 0,
                options: CudaOptions::default(),
            },
            stack: "onnxruntime 1.31.1 cuda".to_owned(),
            count: 2,
            stop: stop.clone(),
        }
    }
}
