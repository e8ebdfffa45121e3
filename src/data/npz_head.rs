//! Heads of the arrays in an `.npz` file: element types and shapes, before anything is read.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::SamplesFault;
use crate::{Error, Result};

/// The name of the array in a member of the archive.
pub(super) fn stem(member: &str) -> String {
    member.strip_suffix(".npy").unwrap_or(member).to_owned()
}

/// Looks at the heads of all arrays, and gives their element types. Heads are some hundred bytes; what follows them is as
/// long as their extents say. An array that claims more is refused before anything is made for it.
pub(super) fn heads(file: &File, path: &Path) -> Result<HashMap<String, String>> {
    const HEAD: u64 = 64 << 10;
    let mut types = HashMap::new();
    let copy = file.try_clone().map_err(|e| Error::file(path, e))?;
    // What is no archive is told by the reader itself.
    let Ok(mut archive) = zip::ZipArchive::new(copy) else {
        return Ok(types);
    };
    for k in 0..archive.len() {
        let Ok(member) = archive.by_index(k) else { continue };
        let (name, size) = (member.name().to_owned(), member.size());
        let fail = |what: &str| Err(SamplesFault::Contents(format!("array '{name}' {what}")).at(path));
        let mut head = Vec::new();
        if member.take(HEAD).read_to_end(&mut head).is_err() {
            return fail("cannot be read");
        }
        let length = match head.get(6) {
            Some(1) => head
                .get(8..10)
                .and_then(|b| b.try_into().ok())
                .map(|b| u64::from(u16::from_le_bytes(b))),
            _ => head
                .get(8..12)
                .and_then(|b| b.try_into().ok())
                .map(|b| u64::from(u32::from_le_bytes(b))),
        };
        if length.is_some_and(|l| l > HEAD) {
            return fail("has a head that is too long");
        }
        let text = String::from_utf8_lossy(&head);
        if elements(&text).is_none_or(|n| n > size) {
            return fail("has fewer bytes than its extents say");
        }
        types.insert(stem(&name), descr(&text));
    }
    Ok(types)
}

/// The number of elements that a head's `shape` says; `None` where they are too many to count.
fn elements(head: &str) -> Option<u64> {
    extents(head)?.iter().try_fold(1u64, |n, e| n.checked_mul(*e))
}

/// The extents that a head's `shape` says.
pub(super) fn extents(head: &str) -> Option<Vec<u64>> {
    let shape = head
        .split("shape")
        .nth(1)
        .and_then(|s| s.split('(').nth(1))
        .and_then(|s| s.split(')').next());
    let shape = shape
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|e| !e.is_empty());
    shape.map(|e| e.trim_end_matches('L').parse::<u64>().ok()).collect()
}

/// The element type that a head's `descr` says, without the byte order.
fn descr(head: &str) -> String {
    let text = head.split("'descr'").nth(1).unwrap_or_default();
    let text = text.trim_start_matches([':', ' ']);
    match text.strip_prefix('\'').and_then(|t| t.split('\'').next()) {
        Some(plain) => plain.trim_start_matches(['<', '>', '|', '=']).to_owned(),
        None => "records".to_owned(),
    }
}

/// What an element type is called.
pub(super) fn named(descr: &str) -> &str {
    match descr {
        "f2" => "float16",
        "f4" => "float32",
        "f8" => "float64",
        "b1" => "bool",
        "i1" => "int8",
        "i2" => "int16",
        "i4" => "int32",
        "i8" => "int64",
        "u1" => "uint8",
        "u2" => "uint16",
        "u4" => "uint32",
        "u8" => "uint64",
        "f12" | "f16" => "longdouble",
        "O" => "Python objects",
        other if other.starts_with(['U', 'S']) => "text",
        other if other.starts_with('c') => "complex numbers",
        other if other.starts_with(['M', 'm']) => "times",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::elements;

    #[test]
    fn extents_are_counted_and_what_is_none_is_too_many() {
        assert_eq!(
            elements("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4, 2), }"),
            Some(24)
        );
        assert_eq!(elements("{'shape': (), }"), Some(1));
        assert_eq!(elements("{'shape': (7,), }"), Some(7));
        assert_eq!(elements("{'shape': (99999999999, 99999999999), }"), None);
        assert_eq!(elements("{'shape': (-1,), }"), None);
    }
}
