//! The file of a database: its path for SQLite, and errors about it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;

/// How long other processes are waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A path that SQLite cannot take for anything else, as it does with `file:l.db` and `:memory:`.
pub(super) fn plain(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// An error of SQLite about a file.
pub(super) fn database_error(path: &Path, error: &rusqlite::Error) -> Error {
    Error::Database {
        path: path.to_path_buf(),
        what: error.to_string(),
    }
}
