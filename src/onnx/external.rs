//! Weights kept in files beside the model: read only from inside the model's own folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::proto::{GraphProto, ModelProto, TensorProto, tensor_proto::DataLocation};
use crate::{Error, Result};

/// Whether any tensor of the main graph keeps its data in another file.
pub(super) fn uses_external_data(model: &ModelProto) -> bool {
    model.graph.as_ref().is_some_and(|g| tensors(g).any(is_external))
}

/// The files that a model names for its weights, relative to its folder; those that leave it are not among them.
pub(super) fn locations(model: &ModelProto) -> BTreeSet<PathBuf> {
    let tensors = model.graph.iter().flat_map(tensors).filter(|t| is_external(t));
    let entries = tensors.flat_map(|t| &t.external_data).filter(|e| e.key() == "location");
    entries
        .map(|e| PathBuf::from(e.value()))
        .filter(|p| is_inside(p))
        .collect()
}

/// Whether a path goes nowhere but down.
fn is_inside(path: &Path) -> bool {
    path.components()
        .all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
}

fn tensors(graph: &GraphProto) -> impl Iterator<Item = &TensorProto> {
    graph.initializer.iter().chain(
        graph
            .node
            .iter()
            .flat_map(|n| n.attribute.iter().filter_map(|a| a.t.as_ref())),
    )
}

fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location() == DataLocation::External
}

/// Brings every external tensor of the main graph into the message.
///
/// # Errors
/// When a location is absolute, leaves `folder` (by `..`, a symbolic link or a hard link), names an
/// unknown key, or when offset and length do not lie in the file.
pub(super) fn read_external_data(model: &mut ModelProto, folder: &Path) -> Result<()> {
    let Some(graph) = model.graph.as_mut() else {
        return Ok(());
    };
    let attributes = graph
        .node
        .iter_mut()
        .flat_map(|n| n.attribute.iter_mut().filter_map(|a| a.t.as_mut()));
    for tensor in graph.initializer.iter_mut().chain(attributes) {
        if is_external(tensor) {
            let bytes = read_one(tensor, folder)?;
            tensor.raw_data = Some(bytes);
            tensor.external_data.clear();
            tensor.data_location = None;
        }
    }
    Ok(())
}

fn read_one(tensor: &TensorProto, folder: &Path) -> Result<Vec<u8>> {
    let fail = |what: String| Error::tensor(tensor.name(), what);
    let (mut location, mut offset, mut length) = (None, 0u64, None);
    for entry in &tensor.external_data {
        let number = || {
            entry
                .value()
                .parse::<u64>()
                .map_err(|_| fail(format!("external data {} '{}'", entry.key(), entry.value())))
        };
        match entry.key() {
            "location" => location = Some(entry.value()),
            "offset" => offset = number()?,
            "length" => length = Some(number()?),
            "checksum" => {}
            other => return Err(fail(format!("unknown external data key '{other}'"))),
        }
    }
    let location = Path::new(location.ok_or_else(|| fail("external data without location".into()))?);
    if !is_inside(location) {
        return Err(fail(format!(
            "external data location '{}' leaves the model's folder",
            location.display()
        )));
    }
    let root = fs::canonicalize(folder).map_err(|e| Error::file(folder, e))?;
    let path = folder.join(location);
    let real = fs::canonicalize(&path).map_err(|e| Error::file(&path, e))?;
    let info = fs::symlink_metadata(&path).map_err(|e| Error::file(&path, e))?;
    if !real.starts_with(&root) || !info.is_file() || info.nlink() > 1 {
        return Err(fail(format!(
            "external data '{}' is not a plain file of its own inside the model's folder",
            location.display()
        )));
    }
    let available = info
        .len()
        .checked_sub(offset)
        .ok_or_else(|| fail(format!("external data offset {offset} is past the end")))?;
    let length = length.unwrap_or(available);
    if length > available {
        return Err(fail(format!("external data length {length} is past the end")));
    }
    let mut file = File::open(&real).map_err(|e| Error::file(&real, e))?;
    file.seek(SeekFrom::Start(offset)).map_err(|e| Error::file(&real, e))?;
    let mut bytes = Vec::new();
    file.take(length)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::file(&real, e))?;
    Ok(bytes)
}
