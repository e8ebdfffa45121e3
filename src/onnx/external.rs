//! Weights kept in files beside the model: read only from inside the model's own folder, or one that the user names.

use std::collections::{BTreeSet, HashMap};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{CWD, Mode, openat};
use rustix::io::Errno;

use super::beneath::{READ, beneath};
use super::contents::{is_mapped, mapped, part};
use super::dtype::expected_bytes;
use super::proto::{ModelProto, TensorProto, tensor_proto::DataLocation};
use super::tensors::{tensors, tensors_mut};
use crate::{Error, Result};

/// Whether any tensor keeps its data in another file.
pub(super) fn uses_external_data(model: &ModelProto) -> bool {
    model
        .graph
        .as_ref()
        .is_some_and(|g| tensors(g).into_iter().any(is_external))
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

fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location() == DataLocation::External
}

/// Regions of a file may serve several tensors (tied weights), but what is read stays in proportion to what is there.
const TIED: u64 = 4;
const SMALL: u64 = 1 << 20;

/// Brings every external tensor into the message.
///
/// # Errors
/// When a location is absolute, leaves the folder (by `..`, or in a model's own folder by a symbolic link or a hard link), names an
/// unknown key, or when offset and length do not lie in the file or do not fit the tensor's extents.
pub(super) fn read_external_data(model: &mut ModelProto, from: Folder) -> Result<()> {
    let folder = from.path();
    let Some(graph) = model.graph.as_mut() else {
        return Ok(());
    };
    let (mut there, mut read): (HashMap<(u64, u64), SeenLocations>, u64) = (HashMap::new(), 0);
    for tensor in tensors_mut(graph) {
        if is_external(tensor) {
            let place = ByteRange::of(tensor)?;
            let (mut file, info) = open(tensor, from, place.location)?;
            let key = (info.dev(), info.ino());
            there.entry(key).or_default().size = info.len();
            let length = place.length_in(tensor, info.len())?;
            read = read.saturating_add(length);
            let all: u64 = there.values().map(|s| s.size).sum();
            if read > all.saturating_mul(TIED).saturating_add(SMALL) {
                return Err(Error::tensor(
                    tensor.name(),
                    "external data names the same bytes of its files again and again",
                ));
            }
            let failed = |e| Error::file(folder.join(place.location), e);
            let seen = there.entry(key).or_default();
            let bytes = seen.bytes(&mut file, place.offset, length).map_err(failed)?;
            if bytes.len() as u64 != length {
                return Err(Error::tensor(
                    tensor.name(),
                    "external data became shorter while it was read",
                ));
            }
            tensor.raw_data = Some(bytes);
            tensor.external_data.clear();
            tensor.data_location = None;
        }
    }
    Ok(())
}

/// A file that weights lie in.
#[derive(Default)]
struct SeenLocations {
    size: u64,
    map: Option<Bytes>,
}

impl SeenLocations {
    /// Some of its bytes: a part of the map where it is large.
    fn bytes(&mut self, file: &mut File, offset: u64, length: u64) -> std::io::Result<Bytes> {
        if !is_mapped(self.size) {
            return part(file, offset, length);
        }
        let map = match self.map.take() {
            Some(map) => map,
            None => mapped(file)?,
        };
        let end = usize::try_from(offset.saturating_add(length))
            .unwrap_or(usize::MAX)
            .min(map.len());
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(end);
        let bytes = map.slice(start..end);
        self.map = Some(map);
        Ok(bytes)
    }
}

/// Where a tensor's bytes are, as the message says.
struct ByteRange<'a> {
    location: &'a Path,
    offset: u64,
    length: Option<u64>,
}

impl<'a> ByteRange<'a> {
    fn of(tensor: &'a TensorProto) -> Result<Self> {
        let fail = |what: String| Error::tensor(tensor.name(), what);
        let (mut location, mut offset, mut length) = (None, None, None);
        for entry in &tensor.external_data {
            let number = || {
                entry
                    .value()
                    .parse::<u64>()
                    .map_err(|_| fail(format!("external data {} '{}'", entry.key(), entry.value())))
            };
            let twice = match entry.key() {
                "location" => location.replace(entry.value()).is_some(),
                "offset" => offset.replace(number()?).is_some(),
                "length" => length.replace(number()?).is_some(),
                "checksum" => false,
                other => return Err(fail(format!("unknown external data key '{other}'"))),
            };
            if twice {
                return Err(fail(format!("external data key '{}' is there twice", entry.key())));
            }
        }
        let location = Path::new(location.ok_or_else(|| fail("external data without location".into()))?);
        if !is_inside(location) || location.as_os_str().is_empty() {
            return Err(fail(format!(
                "external data location '{}' leaves the model's folder",
                location.display()
            )));
        }
        Ok(Self {
            location,
            offset: offset.unwrap_or(0),
            length,
        })
    }

    /// How many bytes to read from a file of `size` bytes.
    fn length_in(&self, tensor: &TensorProto, size: u64) -> Result<u64> {
        let fail = |what: String| Error::tensor(tensor.name(), what);
        let available = size
            .checked_sub(self.offset)
            .ok_or_else(|| fail(format!("external data offset {} is past the end", self.offset)))?;
        let expected = expected_bytes(tensor)?.map(|n| n as u64);
        let length = self.length.or(expected).unwrap_or(available);
        if length > available {
            return Err(fail(format!("external data length {length} is past the end")));
        }
        match expected {
            Some(expected) if expected != length => Err(fail(format!(
                "external data of {length} bytes for {:?}, {expected} expected",
                tensor.dims
            ))),
            _ => Ok(length),
        }
    }
}

/// The folder that external data is read from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Folder<'a> {
    /// The model's own, which may come from anybody: no links.
    Own(&'a Path),
    /// One that the user named, and so vouches for: links in it are followed.
    Named(&'a Path),
}

impl<'a> Folder<'a> {
    fn path(self) -> &'a Path {
        match self {
            Self::Own(path) | Self::Named(path) => path,
        }
    }
}

/// Opens a plain file: in the model's folder one of its own, no part of whose path is a link.
fn open(tensor: &TensorProto, from: Folder, location: &Path) -> Result<(File, Metadata)> {
    let folder = from.path();
    let refused = |what: &str| Error::tensor(tensor.name(), format!("external data '{}' {what}", location.display()));
    let linked = |what: &str| Error::LinkedWeights(refused(&format!("{NOT_OWN} but {what}{CACHES}")).to_string());
    let opened = match from {
        Folder::Own(folder) => beneath(folder, location),
        Folder::Named(folder) => {
            let path = folder.join(location);
            openat(CWD, &path, READ, Mode::empty()).map(File::from)
        }
    };
    let file = match opened {
        Ok(file) => file,
        Err(Errno::LOOP | Errno::XDEV) => return Err(linked("a symbolic link")),
        Err(Errno::NXIO) => return Err(refused(NOT_PLAIN)),
        Err(e) => return Err(Error::file(folder.join(location), e.into())),
    };
    let info = file.metadata().map_err(|e| Error::file(folder.join(location), e))?;
    if !info.is_file() {
        return Err(refused(NOT_PLAIN));
    }
    if info.nlink() > 1 && matches!(from, Folder::Own(_)) {
        return Err(linked("one of several hard links"));
    }
    Ok((file, info))
}

const NOT_PLAIN: &str = "is not a plain file of its own";
const NOT_OWN: &str = "is not a plain file of its own inside the model's folder";
const CACHES: &str = " (caches such as Hugging Face's are made of them)";
