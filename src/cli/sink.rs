//! Where a command writes to: a file, or standard output.

use std::io::Write;
use std::path::Path;

use super::stdout;
use crate::jobs::is_stream;
use crate::onnx::{LARGEST, Weights, save, save_model};
use crate::report::visible;
use crate::{Error, Result};

/// Whether a file can be made at a place.
///
/// # Errors
/// When its folder is missing or takes no files.
pub(super) fn writable(file: &Path) -> Result<()> {
    let folder = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    tempfile::tempfile_in(folder).map(drop).map_err(|e| {
        Error::Usage(format!(
            "{} cannot be written to ({e}); name another place with -o",
            folder.display()
        ))
    })
}

/// Writes a file, or to standard output; the name for people.
pub(super) fn put(place: Option<&Path>, bytes: &[u8]) -> Result<String> {
    match place {
        Some(path) => {
            save(path, bytes)?;
            Ok(path.display().to_string())
        }
        None => {
            stdout::bytes(bytes)?;
            Ok("standard output".to_owned())
        }
    }
}

/// Writes a model, and where its weights do not go into its own file, one with them; the names for people.
pub(super) fn put_model(place: Option<&Path>, model: &[u8], weights: Weights) -> Result<Vec<String>> {
    match place {
        Some(path) => {
            let saved = save_model(path, model, weights)?;
            Ok(saved.iter().map(|s| s.path.display().to_string()).collect())
        }
        None if weights.beside || model.len() > LARGEST => Err(Error::Usage(
            "weights in a file of their own need a place: name a file for the model with -o".to_owned(),
        )),
        None => Ok(vec![put(None, model)?]),
    }
}

/// Says things where they do not mix with what is written to `place`; nothing when quiet.
pub(super) fn voice(quiet: bool, place: Option<&Path>) -> impl Fn(String) + use<> {
    let mixed = place.is_none();
    // A reader that went away takes no result with it: what is written to files is not lost.
    move |text: String| {
        let text = visible(&text);
        let _heard = match (quiet, mixed) {
            (true, _) => Ok(()),
            (false, true) => std::io::stderr().write_all(text.as_bytes()),
            (false, false) => std::io::stdout().write_all(text.as_bytes()),
        };
    }
}

/// The file to write to; `None`: standard output.
pub(super) fn file_of(output: &Path) -> Option<&Path> {
    (!is_stream(output)).then_some(output)
}
