//! Hashes of what is read and written, so that what changed is seen.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::{Error, Result};

/// BLAKE3 of a file in hexadecimal; of a folder, that of its files' names, sizes and times, since a data set may be large.
///
/// # Errors
/// When it cannot be read.
pub(super) fn digest(path: &Path) -> Result<String> {
    let fail = |e| Error::file(path, e);
    let mut hash = blake3::Hasher::new();
    if path.is_dir() {
        let mut files = Vec::new();
        within(path, &mut files).map_err(fail)?;
        files.sort();
        for file in files {
            let about = file.metadata().map_err(fail)?;
            let changed = about.modified().map_err(fail)?;
            hash.update(format!("{} {} {changed:?}\n", file.display(), about.len()).as_bytes());
        }
    } else {
        hash.update_reader(File::open(path).map_err(fail)?).map_err(fail)?;
    }
    Ok(hash.finalize().to_hex().to_string())
}

/// All files of a folder and its folders.
fn within(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => within(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

/// Hashes of files that many models share, each made once.
#[derive(Debug, Default)]
pub(super) struct Digests(Mutex<HashMap<PathBuf, Option<String>>>);

impl Digests {
    /// The hash of a file; `None` when it cannot be read.
    pub(super) fn of(&self, path: &Path) -> Option<String> {
        let known = self.0.lock().ok().and_then(|k| k.get(path).cloned());
        known.unwrap_or_else(|| {
            let made = digest(path).ok();
            if let Ok(mut known) = self.0.lock() {
                known.insert(path.to_path_buf(), made.clone());
            }
            made
        })
    }
}

#[cfg(test)]
mod tests {
    use super::digest;

    #[test]
    fn files_are_told_apart_by_content_and_folders_by_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&a, "one").unwrap();
        std::fs::write(&b, "one").unwrap();
        assert_eq!(digest(&a).unwrap(), digest(&b).unwrap());
        let before = digest(folder.path()).unwrap();
        std::fs::write(&b, "two!").unwrap();
        assert_ne!(digest(&a).unwrap(), digest(&b).unwrap());
        assert_ne!(digest(folder.path()).unwrap(), before);
        assert!(digest(&folder.path().join("c")).is_err());
    }
}
