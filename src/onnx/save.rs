//! From a model in memory to a file, whole or not at all.

use std::io::Write;
use std::path::Path;

use prost::Message;

use super::proto::ModelProto;
use crate::{Error, Result};

/// The model as the bytes of an ONNX file.
pub fn encode(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}

/// Writes `bytes` to a temporary file beside `path` and renames it, so that nobody sees a half file.
///
/// # Errors
/// When the folder cannot be written to or the disk is full; then `path` is as it was.
pub fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let fail = |e| Error::file(path, e);
    let mut file = tempfile::Builder::new()
        .prefix(".snapprune-")
        .tempfile_in(folder)
        .map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
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
