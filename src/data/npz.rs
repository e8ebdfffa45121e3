//! Arrays of an `.npz` file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadableElement};

use crate::{Error, Result};

pub(super) struct Npz {
    reader: NpzReader<File>,
    names: Vec<String>,
    path: PathBuf,
}

pub(super) fn open(path: &Path) -> Result<Npz> {
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    plausible(&file, path)?;
    let wrong = |e: ndarray_npy::ReadNpzError| {
        Error::Usage(format!(
            "{} is no .npz file ({e}); write one with numpy.savez, or name a folder of images",
            path.display()
        ))
    };
    let mut reader = NpzReader::new(file).map_err(wrong)?;
    let names = reader.names().map_err(wrong)?;
    Ok(Npz {
        reader,
        names: names.iter().map(|n| n.trim_end_matches(".npy").to_owned()).collect(),
        path: path.to_path_buf(),
    })
}

/// Heads of arrays are some hundred bytes; what follows them is as long as their extents say. An array that claims more is
/// refused before anything is made for it.
fn plausible(file: &File, path: &Path) -> Result<()> {
    const HEAD: u64 = 64 << 10;
    let copy = file.try_clone().map_err(|e| Error::file(path, e))?;
    // What is no archive is told by the reader itself.
    let Ok(mut archive) = zip::ZipArchive::new(copy) else {
        return Ok(());
    };
    for k in 0..archive.len() {
        let Ok(member) = archive.by_index(k) else { continue };
        let (name, size) = (member.name().to_owned(), member.size());
        let fail = |what: &str| Err(Error::Usage(format!("{}: array '{name}' {what}", path.display())));
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
        if elements(&String::from_utf8_lossy(&head)).is_none_or(|n| n > size) {
            return fail("has fewer bytes than its extents say");
        }
    }
    Ok(())
}

/// The number of elements that a head's `shape` says; `None` where they are too many to count.
fn elements(head: &str) -> Option<u64> {
    let shape = head
        .split("shape")
        .nth(1)
        .and_then(|s| s.split('(').nth(1))
        .and_then(|s| s.split(')').next());
    let extents = shape
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|e| !e.is_empty());
    extents
        .map(|e| e.trim_end_matches('L').parse::<u64>().ok())
        .try_fold(1u64, |n, e| n.checked_mul(e?))
}

impl Npz {
    /// The arrays' names.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    fn array<A: ReadableElement>(&mut self, name: &str) -> Result<Option<ArrayD<A>>> {
        if !self.names.iter().any(|n| n == name) {
            return Ok(None);
        }
        let found = self.reader.by_name::<OwnedRepr<A>, IxDyn>(&format!("{name}.npy"));
        found
            .map(Some)
            .map_err(|e| Error::Usage(format!("{}: array '{name}': {e}", self.path.display())))
    }

    /// A float32 array.
    pub(super) fn floats(&mut self, name: &str) -> Result<Option<ArrayD<f32>>> {
        self.array(name)
    }

    /// `images`, uint8.
    pub(super) fn images(&mut self) -> Result<Option<ArrayD<u8>>> {
        self.array("images")
    }

    /// `labels`: int64, int32 or uint8.
    pub(super) fn labels(&mut self) -> Result<Option<Vec<i64>>> {
        let long = self.array::<i64>("labels");
        let array = match long {
            Ok(found) => found,
            Err(first) => match (self.array::<i32>("labels"), self.array::<u8>("labels")) {
                (Ok(Some(a)), _) => Some(a.mapv(i64::from)),
                (_, Ok(Some(a))) => Some(a.mapv(i64::from)),
                _ => return Err(first),
            },
        };
        Ok(array.map(|a| a.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{elements, open};

    #[test]
    fn an_array_that_claims_more_than_there_is_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |member: &[u8], why: &str| {
            let path = folder.path().join("a.npz");
            let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
            let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
            archive.start_file("images.npy", stored).unwrap();
            archive.write_all(member).unwrap();
            archive.finish().unwrap();
            let said = open(&path).map(|_| ()).unwrap_err().to_string();
            assert!(said.contains("images") && said.contains(why), "{said}");
        };
        refused(
            b"\x93NUMPY\x02\x00\xf0\xff\xff\x6f{'descr': '|u1'",
            "a head that is too long",
        );
        let head = "{'descr': '|u1', 'fortran_order': False, 'shape': (999999, 999, 999, 3), }\n";
        let member = [
            b"\x93NUMPY\x01\x00",
            &(head.len() as u16).to_le_bytes()[..],
            head.as_bytes(),
        ]
        .concat();
        refused(&member, "fewer bytes than its extents say");
    }

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
