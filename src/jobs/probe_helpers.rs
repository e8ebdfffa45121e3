//! Helper processes of a job on a GPU.

use std::cell::RefCell;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::device::{DeviceChoice, DeviceSettings};
use super::probe_message::{Answer, Request};
use super::program::{Program, lines_of};
use crate::device::{CudaOptions, Device, DeviceKind, NodeClock, Runtime, Stop, cores};
use crate::profile::{ProbeHelpers, Problem, Record};
use crate::{Error, Result};

/// Helpers at most.
const MOST: usize = 8;
/// Bytes of the GPU's memory for which there is one helper: each has a context of its own.
const BYTES: f64 = 8e9;
/// How long a helper may take for its part.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the end of one is waited for.
const LEAVE: Duration = Duration::from_secs(2);
/// How often the wish to stop is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// Processes that load probes at the same time as one another. They are started when they are first needed, and end with this value.
pub(super) struct HelperProcesses {
    program: Program,
    open: Request,
    /// What runs models here, which must be the same there.
    stack: String,
    count: usize,
    stop: Stop,
    helpers: RefCell<Vec<Helper>>,
}

impl HelperProcesses {
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
            helpers: RefCell::default(),
        })
    }
}

impl ProbeHelpers for HelperProcesses {
    fn measure(&self, sessions: &[Vec<Problem>]) -> Result<Vec<Record>> {
        let mut helpers = self.helpers.borrow_mut();
        let mut parts: Vec<Vec<Vec<Problem>>> = vec![Vec::new(); self.count.min(sessions.len())];
        let count = parts.len().max(1);
        for (k, session) in sessions.iter().enumerate() {
            parts[k % count].push(session.clone());
        }
        let end = Instant::now() + PATIENCE;
        let known = helpers.len();
        while helpers.len() < parts.len() {
            helpers.push(Helper::start(&self.program, &self.open)?);
        }
        for helper in &helpers[known..] {
            match helper.answer(end, &self.stop)? {
                Answer::Opened { stack } if stack == self.stack => {}
                Answer::Opened { stack } => {
                    return Err(Error::device(format!("a helper process runs models by {stack}")));
                }
                other => return Err(other.unexpected()),
            }
        }
        for (helper, part) in helpers.iter_mut().zip(parts) {
            helper.ask(&Request::Load(part))?;
        }
        let at_work = &mut helpers[..count];
        for helper in at_work.iter_mut() {
            match helper.answer(end, &self.stop)? {
                Answer::Loaded => {}
                other => return Err(other.unexpected()),
            }
        }
        let mut records = Vec::new();
        for helper in at_work {
            helper.ask(&Request::Time)?;
            match helper.answer(end, &self.stop)? {
                Answer::Timed(timed) => records.extend(timed),
                other => return Err(other.unexpected()),
            }
        }
        Ok(records)
    }
}

impl Answer {
    fn unexpected(self) -> Error {
        Error::device(match self {
            Self::Failed(why) => format!("a helper process: {why}"),
            Self::Opened { .. } | Self::Loaded | Self::Timed(_) => "a helper process answered out of turn".to_owned(),
        })
    }
}

/// One of the processes.
struct Helper {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Helper {
    fn start(program: &Program, open: &Request) -> Result<Self> {
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
        let mut helper = Self { child, stdin, lines };
        helper.ask(open)?;
        Ok(helper)
    }

    fn ask(&mut self, what: &Request) -> Result<()> {
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

    fn answer(&self, end: Instant, stop: &Stop) -> Result<Answer> {
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
mod tests {
    use super::*;

    /// Processes that do what a script says, with the lines that they are asked in.
    fn helpers(script: &str, stop: &Stop) -> HelperProcesses {
        HelperProcesses {
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
            helpers: RefCell::default(),
        }
    }

    /// Answers as a helper does, one session with one problem at a time, after a line of a library that writes where it should not.
    const ANSWERS: &str = r#"read open; case "$open" in *libonnxruntime.so*) ;; *) exit 1 ;; esac
        echo '{"Opened":{"stack":"onnxruntime 1.31.1 cuda"}}'
        while read load; do
            echo "cuDNN says hello"; echo '"Loaded"'; read time
            echo "$load" | sed 's/^{"Load":\[\[\(.*\)\]\]}$/{"Timed":[{"problem":\1,"samples":[1.5]}]}/'
        done"#;

    #[test]
    fn sessions_are_shared_between_processes_that_go_on() {
        let helpers = helpers(ANSWERS, &Stop::default());
        for couts in [[8, 16], [24, 32]] {
            let sessions = couts.map(|c| vec![Problem::plain(16, c, 8)]);
            let records = helpers.measure(&sessions).unwrap();
            let widths: Vec<usize> = records.iter().map(|r| r.problem.cout).collect();
            assert_eq!(widths, couts);
            assert!(records.iter().all(|r| r.samples == [1.5]));
        }
        assert_eq!(helpers.helpers.borrow().len(), 2);
    }

    #[test]
    fn a_helper_that_fails_goes_or_hangs_is_an_error() {
        let sessions = [8, 16].map(|c| vec![Problem::plain(16, c, 8)]);
        let other = r#"echo '{"Opened":{"stack":"onnxruntime 1.30.0 cuda"}}'; read open; read load"#;
        let said = helpers(other, &Stop::default()).measure(&sessions).unwrap_err();
        assert!(said.to_string().contains("1.30.0"), "{said}");
        let failing = r#"echo '{"Opened":{"stack":"onnxruntime 1.31.1 cuda"}}'; read open; read load; echo '{"Failed":"out of memory"}'; read more"#;
        let said = helpers(failing, &Stop::default()).measure(&sessions).unwrap_err();
        assert!(said.to_string().contains("out of memory"), "{said}");
        let said = helpers("exit 0", &Stop::default()).measure(&sessions).unwrap_err();
        assert!(said.to_string().contains("gone"), "{said}");
        let stop = Stop::default();
        let wish = stop.clone();
        let later = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            wish.request();
        });
        let said = helpers("exec sleep 60", &stop).measure(&sessions);
        assert!(later.join().is_ok() && matches!(said, Err(Error::Stopped)));
    }
}
