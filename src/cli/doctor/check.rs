//! One thing that the doctor looks at.

use serde::Serialize;

/// How one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CheckState {
    /// As it should be.
    Ok,
    /// It works, but something is worth knowing.
    Note,
    /// It does not work.
    Fault,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) state: CheckState,
    pub(super) found: String,
    /// What to do.
    pub(super) todo: Option<String>,
}

/// One check.
pub(super) fn check(name: &str, state: CheckState, found: String, todo: Option<&str>) -> Check {
    Check {
        name: name.to_owned(),
        state,
        found,
        todo: todo.map(str::to_owned),
    }
}
