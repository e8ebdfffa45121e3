//! What is in a file: read, or mapped where it is large.

use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom};

use bytes::Bytes;
use memmap2::Mmap;

/// Files of at least so many bytes are mapped: their pages come in as they are used, and can be given up again.
const MAPPED: u64 = 256 << 20;

/// The whole file.
///
/// # Errors
/// Those of the system.
pub(super) fn contents(file: &mut File) -> Result<Bytes> {
    let size = file.metadata()?.len();
    if !is_mapped(size) {
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.read_to_end(&mut bytes)?;
        return Ok(bytes.into());
    }
    mapped(file)
}

/// Some bytes of a file; fewer where it ends before.
///
/// # Errors
/// Those of the system.
pub(super) fn part(file: &mut File, offset: u64, length: u64) -> Result<Bytes> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.seek(SeekFrom::Start(offset))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// Whether a file of this size is mapped.
pub(super) fn is_mapped(size: u64) -> bool {
    size >= MAPPED
}

/// The whole file, mapped. While it is in use nobody may shorten it: the process would be ended by the system.
///
/// # Errors
/// Those of the system.
pub(super) fn mapped(file: &File) -> Result<Bytes> {
    // SAFETY: the bytes are only read. Another process that writes to the file changes what is read, as it would
    // between two reads; all values are checked where they are used.
    let map = unsafe { Mmap::map(file)? };
    Ok(Bytes::from_owner(map))
}
