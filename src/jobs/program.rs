//! How processes of this program are started.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::ChildStdout;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};

/// How snapprune is called.
#[derive(Clone, Debug)]
pub struct Program {
    /// What is started.
    pub path: PathBuf,
    /// Its first arguments.
    pub args: Vec<String>,
}

/// How this program is called, where it was said.
static CALLED: OnceLock<Program> = OnceLock::new();

impl Program {
    /// This very program.
    pub fn current() -> Self {
        Self::known().unwrap_or_else(|| Self {
            path: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("snapprune")),
            args: Vec::new(),
        })
    }

    /// This very program, where it is known to be snapprune: a program of somebody else's is not started again.
    pub fn known() -> Option<Self> {
        CALLED.get().cloned()
    }

    /// Says how this very program is called. The first call counts.
    pub fn set_current(self) {
        // A second time says the same.
        let _ = CALLED.set(self);
    }
}

/// The lines that a process writes, read as they come.
pub fn lines_of(stdout: Option<ChildStdout>) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let Some(stdout) = stdout else { return };
        for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
