//! Writing to standard output, where a reader that is gone or a disk that is full is an error like any other.

use std::io::Write;

use crate::report::visible;
use crate::{Error, Result};

/// Writes bytes.
///
/// # Errors
/// When that does not work.
pub(super) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let done = out.write_all(bytes).and_then(|()| out.flush());
    done.map_err(|e| Error::file("standard output", e))
}

/// Writes text, without what would steer a terminal.
///
/// # Errors
/// When that does not work.
pub(super) fn text(text: &str) -> Result<()> {
    bytes(visible(text).as_bytes())
}

/// Writes a line.
///
/// # Errors
/// When that does not work.
pub(super) fn line(line: &str) -> Result<()> {
    text(&format!("{line}\n"))
}
