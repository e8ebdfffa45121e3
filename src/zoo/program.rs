//! How worker processes are started.

use std::path::PathBuf;
use std::sync::OnceLock;

/// How snapprune is called.
#[derive(Clone, Debug)]
pub struct Program {
    /// What is started.
    pub path: PathBuf,
    /// Its first arguments.
    pub args: Vec<String>,
}

/// How this program is called, where it is not a program of its own.
static CALLED: OnceLock<Program> = OnceLock::new();

impl Program {
    /// This very program.
    pub fn current() -> Self {
        CALLED.get().cloned().unwrap_or_else(|| Self {
            path: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("snapprune")),
            args: Vec::new(),
        })
    }

    /// Says how this very program is called, where it is not a program of its own. The first call counts.
    pub fn set_current(self) {
        // A second time says the same.
        let _ = CALLED.set(self);
    }
}
