//! What can go wrong with a model, as far as a scheduler acts on it.

use serde::{Deserialize, Serialize};

use super::entry::{JournalEntry, State};
use crate::Error;

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The model, its data or its flags: the same comes out next time.
    Input,
    /// Extents that the model leaves open have to be given.
    SymbolicShapes,
    /// The machine: a device, a driver, a disk, a database. Worth another try, there or elsewhere.
    Machine,
    /// Memory of the machine or of the GPU ran out.
    Memory,
    /// The rewritten model's outputs differ from the original's.
    Verification,
    /// The time allowed for one model was up.
    Timeout,
    /// The process ended without an answer.
    Crash,
}

impl FailureKind {
    /// What an error is.
    pub fn of(error: &Error) -> Self {
        use std::io::ErrorKind;
        let text = error.to_string();
        if out_of_memory(&text) {
            return Self::Memory;
        }
        match error {
            Error::File { source, .. } => match source.kind() {
                ErrorKind::NotFound
                | ErrorKind::PermissionDenied
                | ErrorKind::InvalidData
                | ErrorKind::InvalidInput
                | ErrorKind::IsADirectory
                | ErrorKind::UnexpectedEof => Self::Input,
                _ => Self::Machine,
            },
            Error::SymbolicShapes(_) => Self::SymbolicShapes,
            Error::Session(what) if of_a_device(what) => Self::Machine,
            Error::Model(_) | Error::Tensor { .. } | Error::Session(_) | Error::Plan(_) | Error::Usage(_) => {
                Self::Input
            }
            Error::Runtime(_) | Error::Device(_) | Error::Busy(_) | Error::Database { .. } | Error::Stopped => {
                Self::Machine
            }
        }
    }

    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Input => "bad input",
            Self::SymbolicShapes => "needs its shape",
            Self::Machine => "machine trouble",
            Self::Memory => "out of memory",
            Self::Verification => "outputs differ",
            Self::Timeout => "time was up",
            Self::Crash => "crashed",
        }
    }

    /// All of them, the one that decides the exit status first.
    pub const ALL: [Self; 7] = [
        Self::Machine,
        Self::Memory,
        Self::Timeout,
        Self::Crash,
        Self::Verification,
        Self::Input,
        Self::SymbolicShapes,
    ];
}

/// Whether a message, or the end of a process's log, tells of memory that ran out.
pub(super) fn out_of_memory(text: &str) -> bool {
    const SIGNS: [&str; 8] = [
        "out of memory",
        "memory allocation of",
        "Failed to allocate memory",
        "bad_alloc",
        "CUDA_ERROR_OUT_OF_MEMORY",
        "ALLOC_FAILED",
        "Cannot allocate memory",
        "bad allocation",
    ];
    SIGNS.iter().any(|s| text.contains(s))
}

fn of_a_device(what: &str) -> bool {
    ["CUDA", "CUBLAS", "CUDNN", "cudaError"]
        .iter()
        .any(|s| what.contains(s))
}

/// Exit statuses of a zoo. They are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Every model was made faster (or planned, or the phase is done).
    Done = 0,
    /// Every model was dealt with; some stay as they are, because nothing was faster or a goal is out of reach.
    Declined = 1,
    /// Wrong use; nothing was begun.
    Usage = 2,
    /// A model, its data or its flags are bad. Mend it; another try gives the same.
    Input = 3,
    /// Trouble of the machine or the device, or models that another process is at: start the same command again.
    Machine = 4,
    /// Memory ran out: a machine or GPU with more, or a smaller batch.
    Memory = 5,
    /// A rewritten model's outputs differ, so that it was not written.
    Verification = 6,
    /// A model took longer than `--timeout`.
    Timeout = 7,
    /// A model ended its process.
    Crash = 8,
}

impl Code {
    /// The status for what became of all models. The kind of trouble that another try may cure comes first.
    pub fn of<'e>(entries: impl IntoIterator<Item = &'e JournalEntry>) -> Self {
        let mut declined = false;
        let mut found: Vec<FailureKind> = Vec::new();
        for entry in entries {
            match (entry.state, entry.failure) {
                (State::Failed, failure) => found.push(failure.unwrap_or(FailureKind::Crash)),
                (State::Running | State::Pending, _) => found.push(FailureKind::Machine),
                (State::Declined, _) => declined = true,
                (State::Written | State::Planned | State::Collected, _) => {}
            }
        }
        match FailureKind::ALL.into_iter().find(|t| found.contains(t)) {
            Some(FailureKind::Machine) => Self::Machine,
            Some(FailureKind::Memory) => Self::Memory,
            Some(FailureKind::Timeout) => Self::Timeout,
            Some(FailureKind::Crash) => Self::Crash,
            Some(FailureKind::Verification) => Self::Verification,
            Some(FailureKind::Input | FailureKind::SymbolicShapes) => Self::Input,
            None if declined => Self::Declined,
            None => Self::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, FailureKind};
    use crate::Error;
    use crate::zoo::{JournalEntry, State};

    #[test]
    fn errors_are_sorted_by_what_a_scheduler_can_do() {
        let kind = |e: Error| FailureKind::of(&e);
        let file = |k: std::io::ErrorKind| Error::file("a.onnx", k.into());
        assert_eq!(kind(Error::Model("not an ONNX model".into())), FailureKind::Input);
        let shape = "input 'x': axis 2 is open, 224 was assumed";
        assert_eq!(kind(Error::SymbolicShapes(shape.into())), FailureKind::SymbolicShapes);
        assert_eq!(kind(file(std::io::ErrorKind::NotFound)), FailureKind::Input);
        assert_eq!(kind(file(std::io::ErrorKind::StorageFull)), FailureKind::Machine);
        assert_eq!(
            kind(Error::Session("This is an invalid model".into())),
            FailureKind::Input
        );
        assert_eq!(
            kind(Error::Session("CUDA failure 700: an illegal memory access".into())),
            FailureKind::Machine
        );
        assert_eq!(
            kind(Error::Session("CUDA failure 2: out of memory".into())),
            FailureKind::Memory
        );
        assert_eq!(kind(Error::Session("std::bad_alloc".into())), FailureKind::Memory);
        assert_eq!(kind(Error::Device("GPU 3 is not there".into())), FailureKind::Machine);
    }

    #[test]
    fn the_trouble_that_another_try_may_cure_decides() {
        let entry = |state, failure| JournalEntry {
            state,
            failure,
            ..JournalEntry::default()
        };
        let failed = |t| entry(State::Failed, Some(t));
        let (written, declined) = (entry(State::Written, None), entry(State::Declined, None));
        assert_eq!(Code::of([&written]), Code::Done);
        assert_eq!(Code::of([&written, &declined]), Code::Declined);
        assert_eq!(Code::of([&declined, &failed(FailureKind::Input)]), Code::Input);
        assert_eq!(Code::of([&written, &failed(FailureKind::SymbolicShapes)]), Code::Input);
        assert_eq!(
            Code::of([&failed(FailureKind::Input), &failed(FailureKind::Timeout)]),
            Code::Timeout
        );
        assert_eq!(
            Code::of([&failed(FailureKind::Crash), &failed(FailureKind::Machine)]),
            Code::Machine
        );
        assert_eq!(Code::of([&written, &entry(State::Pending, None)]), Code::Machine);
        assert_eq!(Code::of([]), Code::Done);
    }
}
