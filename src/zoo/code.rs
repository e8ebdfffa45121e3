//! The exit status of a zoo.

use super::entry::{JournalEntry, State};
use super::failure::FailureKind;

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
    use super::Code;
    use crate::zoo::{FailureKind, JournalEntry, State};

    #[test]
    fn the_failure_that_another_try_may_cure_decides() {
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
