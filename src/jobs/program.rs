//! How processes of this program are started.

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
