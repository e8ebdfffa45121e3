//! A Python function as a metric, in a Python process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde::Deserialize;

use super::user_metric::{ScoreRequest, UserMetric};
use crate::device::{Limit, Stop, python_interpreter};
use crate::{Error, Result};

/// What the process runs: the module of the Python package that reads outputs and calls a function.
const SCRIPT: &str = include_str!("../../python/snapprune/_metric.py");

/// Starts it: Python would look for modules in the current folder first.
const START: &str =
    "import sys; sys.path[:] = [p for p in sys.path if p]; exec(compile(sys.argv.pop(1), '_metric.py', 'exec'))";

/// How often a wish to stop is looked at.
const PATIENCE: Duration = Duration::from_millis(50);

/// A function in a Python file.
#[derive(Debug)]
pub struct PythonMetric {
    name: String,
    file: PathBuf,
    function: String,
    /// The process, once it is needed.
    process: Mutex<Option<Process>>,
}

/// A line of the process.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    /// The function is there.
    Ready,
    Score(f64),
    /// A traceback, or what is wrong with the number.
    Error(String),
}

#[derive(Debug)]
struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    /// Whether the function was found.
    ready: bool,
}

impl PythonMetric {
    /// A function by `FILE.py:function`. The file is looked at when the metric is prepared.
    ///
    /// # Errors
    /// When it is written otherwise, or the file is not there.
    pub fn of(text: &str) -> Result<Self> {
        let parts = text.rsplit_once(':').filter(|(file, function)| {
            let name = |c: char| c.is_alphanumeric() || c == '_';
            !file.is_empty() && !function.is_empty() && function.chars().all(name)
        });
        let (file, function) =
            parts.ok_or_else(|| Error::Usage(format!("'{text}': write a metric as FILE.py:function")))?;
        let path = std::path::absolute(file).map_err(|e| Error::file(file, e))?;
        if !path.is_file() {
            let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "the metric's file is not there");
            return Err(Error::file(file, missing));
        }
        Ok(Self {
            name: function.to_owned(),
            file: path,
            function: function.to_owned(),
            process: Mutex::new(None),
        })
    }

    /// Works with the process, which is started if it is not there.
    fn with<T>(&self, work: impl FnOnce(&mut Process) -> Result<T>) -> Result<T> {
        let lost = |_| Error::Metric(format!("the metric {} failed before", self.name));
        let mut held = self.process.lock().map_err(lost)?;
        let mut process = match held.take() {
            Some(process) => process,
            None => Process::start(&self.file, &self.function)?,
        };
        let done = work(&mut process)?;
        // After an error there is none any more.
        *held = Some(process);
        Ok(done)
    }

    /// The next answer of the process.
    fn answer(&self, process: &mut Process, limit: &Limit) -> Result<Answer> {
        let failed = |what: &str| Error::Metric(format!("the metric {} {what}", self.shown()));
        loop {
            limit.check()?;
            if limit.is_up() {
                return Err(failed("was not done when the time budget was up"));
            }
            match process.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let answer = serde_json::from_str(&line);
                    return match answer.map_err(|e| failed(&format!("was answered with '{line}' ({e})")))? {
                        Answer::Error(why) => Err(failed(&format!("failed:\n{}", why.trim_end()))),
                        answer => Ok(answer),
                    };
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let status = process.child.wait().map_or_else(|e| e.to_string(), |s| s.to_string());
                    return Err(failed(&format!(
                        "ended its Python process ({status}) in place of giving a number"
                    )));
                }
            }
        }
    }

    fn shown(&self) -> String {
        format!("{}:{}", self.file.display(), self.function)
    }
}

impl UserMetric for PythonMetric {
    fn name(&self) -> &str {
        &self.name
    }

    fn prepare(&self, stop: &Stop) -> Result<()> {
        self.with(|process| {
            if process.ready {
                return Ok(());
            }
            self.answer(process, &Limit::new(stop.clone(), None))?;
            process.ready = true;
            Ok(())
        })
    }

    fn score(&self, asked: &ScoreRequest, limit: &Limit) -> Result<f64> {
        self.prepare(&limit.stop())?;
        self.with(|process| {
            process.ask(asked)?;
            match self.answer(process, limit)? {
                Answer::Score(score) if score.is_finite() => Ok(score),
                other => Err(Error::Metric(format!(
                    "the metric {} was answered with {other:?}",
                    self.shown()
                ))),
            }
        })
    }
}

impl Process {
    fn start(file: &Path, function: &str) -> Result<Self> {
        let python = python_interpreter().ok_or_else(|| {
            Error::Metric(
                "a metric needs a Python interpreter: activate an environment, or name one by SNAPPRUNE_PYTHON"
                    .to_owned(),
            )
        })?;
        let mut command = Command::new(&python);
        command.args(["-c", START, SCRIPT]).arg(file).arg(function);
        // Parts of the path that depend on the current folder do not count.
        if let Some(path) = std::env::var_os("PYTHONPATH") {
            let parts = std::env::split_paths(&path).filter(|p| p.is_absolute());
            command.env("PYTHONPATH", std::env::join_paths(parts).unwrap_or_default());
        }
        // Ctrl-C is for this process, which ends the other one.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = piped.map_err(|e| Error::file(&python, e))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::Metric(format!("{} has no pipes", python.display())));
        };
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(std::io::Result::ok);
            lines.try_for_each(|line| sender.send(line))
        });
        Ok(Self {
            child,
            stdin,
            lines,
            ready: false,
        })
    }

    /// Asks for a number. That the process is gone is seen where it answers.
    fn ask(&mut self, asked: &ScoreRequest) -> Result<()> {
        let text = serde_json::to_string(asked).map_err(|e| {
            Error::Metric(format!(
                "the folder for temporary files cannot be named to a metric: {e}"
            ))
        })?;
        let _ = writeln!(self.stdin, "{text}").and_then(|()| self.stdin.flush());
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What it started goes with it. All may have ended by themselves.
        #[cfg(unix)]
        let _ = rustix::process::kill_process_group(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::KILL,
        );
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
