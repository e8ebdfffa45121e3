//! From a model in memory to files, whole or not at all.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use prost::Message;

use super::outside::{LARGEST, Outside};
use super::proto::ModelProto;
use crate::{Error, Result};

/// The model as the bytes of an ONNX file. Beyond [`LARGEST`] nobody else reads them: see [`save_model`].
pub fn encode(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}

/// Where a model's weights go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// Into a file beside the model; otherwise only if the model's own would be larger than [`LARGEST`].
    pub beside: bool,
    /// Weights of fewer bytes stay in the model's own file.
    pub threshold: usize,
}

/// What most tools take for the threshold.
pub const THRESHOLD: usize = 1024;

impl Default for Weights {
    fn default() -> Self {
        Self {
            beside: false,
            threshold: THRESHOLD,
        }
    }
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Where.
    pub path: PathBuf,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub hash: String,
}

/// Writes an encoded model: the model's own file last, and before it, where they do not go into it, one with the weights. That one is
/// called after the model and its own contents, so that a model that was there before keeps its weights until it is replaced.
///
/// # Errors
/// When the folder cannot be written to or the disk is full; then `path` is as it was.
pub fn save_model(path: &Path, model: &[u8], weights: Weights) -> Result<Vec<Saved>> {
    if !weights.beside && model.len() <= LARGEST {
        save(path, model)?;
        return Ok(vec![saved(path, blake3::hash(model))]);
    }
    let unreadable = |e| Error::Model(format!("{}: {e}", path.display()));
    let mut proto = ModelProto::decode(model).map_err(|e| unreadable(e.to_string()))?;
    // Once for the hash, which the name is made of.
    let mut hasher = blake3::Hasher::new();
    let told = Outside::of(&mut proto.clone(), weights.threshold, "")?;
    told.write(&mut hasher).map_err(|e| Error::file(path, e))?;
    let hash = hasher.finalize();
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or("weights");
    let name = format!("{name}.{}.data", &hash.to_hex()[..12]);
    let outside = Outside::of(&mut proto, weights.threshold, &name)?;
    let mut all = Vec::new();
    if !outside.is_empty() {
        let beside = path.with_file_name(&name);
        save_with(&beside, &mut |file| outside.write(file))?;
        all.push(saved(&beside, hash));
    }
    let message = encode(&proto);
    save(path, &message)?;
    all.push(saved(path, blake3::hash(&message)));
    Ok(all)
}

fn saved(path: &Path, hash: blake3::Hash) -> Saved {
    Saved {
        path: path.to_path_buf(),
        hash: hash.to_hex().to_string(),
    }
}

/// Writes `bytes` to a temporary file beside `path` and renames it, so that nobody sees a half file. A new file has the permissions
/// that the umask leaves; one that takes the place of another has those of that one.
///
/// # Errors
/// When the folder cannot be written to or the disk is full; then `path` is as it was.
pub fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    save_with(path, &mut |file| file.write_all(bytes))
}

fn save_with(path: &Path, write: &mut dyn FnMut(&mut File) -> std::io::Result<()>) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let fail = |e| Error::file(path, e);
    let before = std::fs::metadata(path).ok();
    if before.as_ref().is_some_and(|b| !b.is_file() && !b.is_dir()) {
        // A device or a pipe: it is written to, not replaced.
        return File::options()
            .write(true)
            .open(path)
            .and_then(|mut f| write(&mut f))
            .map_err(fail);
    }
    let mut new = tempfile::Builder::new();
    new.prefix(".snapprune-");
    // The system takes the umask off, or does what the folder's access lists say, as for every new file.
    #[cfg(unix)]
    new.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = new.tempfile_in(folder).map_err(fail)?;
    // What takes another's place has its permissions, as if that had been written over.
    #[cfg(unix)]
    if let Some(before) = before.filter(std::fs::Metadata::is_file) {
        // Where a file system has none, nothing is lost.
        let _ = file.as_file().set_permissions(permissions_of(&before));
    }
    write(file.as_file_mut()).map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}

/// Who may read, write and run a file; that a program runs as its owner is not handed on.
#[cfg(unix)]
fn permissions_of(file: &std::fs::Metadata) -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(file.permissions().mode() & 0o777)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    use std::path::Path;

    use super::save;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_new_file_is_as_the_system_makes_files_and_one_that_replaces_another_as_that_was() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("plain"), b"").unwrap();
        save(&at("ours"), b"new").unwrap();
        assert_eq!(mode(&at("ours")), mode(&at("plain")));
        for wanted in [0o600, 0o640, 0o664, 0o444] {
            std::fs::set_permissions(at("ours"), std::fs::Permissions::from_mode(wanted)).unwrap();
            save(&at("ours"), b"newer").unwrap();
            assert_eq!(mode(&at("ours")), wanted);
        }
        std::fs::set_permissions(at("ours"), std::fs::Permissions::from_mode(0o4755)).unwrap();
        save(&at("ours"), b"newest").unwrap();
        assert_eq!(mode(&at("ours")), 0o755);
        assert_eq!(std::fs::read(at("ours")).unwrap(), b"newest");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_no_file_is_written_to_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| std::fs::read(&pipe).unwrap());
            save(&pipe, b"through").unwrap();
            assert_eq!(reader.join().unwrap(), b"through");
        });
        assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
    }
}
