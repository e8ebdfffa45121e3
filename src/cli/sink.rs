//! Where a command writes to: a file, or standard output.

use std::io::Write;
use std::path::Path;

use crate::onnx::save;
use crate::{Error, Result};

/// Writes a file, or to standard output; the name for people.
pub(super) fn put(place: Option<&Path>, bytes: &[u8]) -> Result<String> {
    match place {
        Some(path) => {
            save(path, bytes)?;
            Ok(path.display().to_string())
        }
        None => {
            let mut out = std::io::stdout().lock();
            let done = out.write_all(bytes).and_then(|()| out.flush());
            done.map_err(|e| Error::file("standard output", e))?;
            Ok("standard output".to_owned())
        }
    }
}

/// Says things where they do not mix with what is written to `place`; nothing when quiet.
pub(super) fn voice(quiet: bool, place: Option<&Path>) -> impl Fn(String) + use<> {
    let mixed = place.is_none();
    move |text| match (quiet, mixed) {
        (true, _) => {}
        (false, true) => eprint!("{text}"),
        (false, false) => print!("{text}"),
    }
}
