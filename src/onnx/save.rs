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

/// Writes `bytes` to a temporary file beside `path` and renames it, so that nobody sees a half file.
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
    let mut file = tempfile::Builder::new()
        .prefix(".snapprune-")
        .tempfile_in(folder)
        .map_err(fail)?;
    write(file.as_file_mut()).map_err(fail)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let shared = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(shared).map_err(fail)?;
    }
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}
