//! Arrays of an `.npz` file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadNpyExt, ReadableElement};

use super::numbers::{Number, Stored, element};
use crate::onnx::{Dtype, Tensor};
use crate::{Error, Result};

pub(super) struct Npz {
    reader: NpzReader<File>,
    /// Element type of each array as its head names it, without the byte order: `f4`, `u1`, `i8` ...
    types: HashMap<String, String>,
    names: Vec<String>,
    path: PathBuf,
}

pub(super) fn open(path: &Path) -> Result<Npz> {
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    let types = heads(&file, path)?;
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
        types,
        names: names.iter().map(|n| stem(n)).collect(),
        path: path.to_path_buf(),
    })
}

fn stem(member: &str) -> String {
    member.strip_suffix(".npy").unwrap_or(member).to_owned()
}

/// Looks at the heads of all arrays, and gives their element types. Heads are some hundred bytes; what follows them is as
/// long as their extents say. An array that claims more is refused before anything is made for it.
fn heads(file: &File, path: &Path) -> Result<HashMap<String, String>> {
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
    shape
        .map(|e| e.trim_end_matches('L').parse::<u64>().ok())
        .try_fold(1u64, |n, e| n.checked_mul(e?))
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
fn named(descr: &str) -> &str {
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

/// An array as the elements of an input.
pub(super) struct Converted {
    pub tensor: Tensor,
    /// What the file holds, where that is another type than the input's.
    pub from: Option<String>,
}

impl Npz {
    /// The arrays' names.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    fn wrong(&self, name: &str, what: &str) -> Error {
        Error::Usage(format!("{}: array '{name}' {what}", self.path.display()))
    }

    fn array<A: ReadableElement>(&mut self, name: &str) -> Result<ArrayD<A>> {
        let found = self.reader.by_name::<OwnedRepr<A>, IxDyn>(&format!("{name}.npy"));
        found.map_err(|e| self.wrong(name, &format!("cannot be read: {e}")))
    }

    /// A float16 array, as the bits of its elements.
    fn halves(&mut self, name: &str) -> Result<ArrayD<f32>> {
        let failed = |what: &str| self.wrong(name, &format!("cannot be read: {what}"));
        let read = || -> std::result::Result<ArrayD<u16>, String> {
            let file = File::open(&self.path).map_err(|e| e.to_string())?;
            let mut archive = zip::ZipArchive::new(file).map_err(|e| e.to_string())?;
            let mut bytes = Vec::new();
            let mut member = archive.by_name(&format!("{name}.npy")).map_err(|e| e.to_string())?;
            member.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
            // Integers of the same size are read by the library; their bits are the numbers'.
            let head = bytes.len().min(1024);
            for order in [b'<', b'>'] {
                let (half, whole) = ([order, b'f', b'2'], [order, b'u', b'2']);
                if let Some(at) = memchr::memmem::find(&bytes[..head], &half) {
                    bytes[at..at + 3].copy_from_slice(&whole);
                    break;
                }
            }
            ArrayD::<u16>::read_npy(Cursor::new(bytes)).map_err(|e| e.to_string())
        };
        Ok(read()
            .map_err(|e| failed(&e))?
            .mapv(|b| half::f16::from_bits(b).to_f32()))
    }

    /// An array as elements of `dtype`; `None` when the file has none of that name.
    ///
    /// # Errors
    /// When it holds no numbers, or one that the type cannot hold.
    pub(super) fn tensor(&mut self, name: &str, dtype: Dtype) -> Result<Option<Converted>> {
        if !self.names.iter().any(|n| n == name) {
            return Ok(None);
        }
        let stored = self.types.get(name).cloned().unwrap_or_default();
        let tensor = match stored.as_str() {
            "f2" => self.converted(name, dtype, Self::halves)?,
            "f4" => self.converted(name, dtype, Self::array::<f32>)?,
            "f8" => self.converted(name, dtype, Self::array::<f64>)?,
            "b1" => self.converted(name, dtype, Self::array::<bool>)?,
            "i1" => self.converted(name, dtype, Self::array::<i8>)?,
            "i2" => self.converted(name, dtype, Self::array::<i16>)?,
            "i4" => self.converted(name, dtype, Self::array::<i32>)?,
            "i8" => self.converted(name, dtype, Self::array::<i64>)?,
            "u1" => self.converted(name, dtype, Self::array::<u8>)?,
            "u2" => self.converted(name, dtype, Self::array::<u16>)?,
            "u4" => self.converted(name, dtype, Self::array::<u32>)?,
            "u8" => self.converted(name, dtype, Self::array::<u64>)?,
            other => {
                let what = format!("holds {}; save numbers", named(other));
                return Err(self.wrong(name, &what));
            }
        };
        let own = named(&stored);
        let from = (own != type_name(dtype)).then(|| own.to_owned());
        Ok(Some(Converted { tensor, from }))
    }

    fn converted<A: Stored>(
        &mut self,
        name: &str,
        dtype: Dtype,
        read: impl FnOnce(&mut Self, &str) -> Result<ArrayD<A>>,
    ) -> Result<Tensor> {
        let array = read(self, name)?;
        let dims = array.shape().to_vec();
        let mut bytes = Vec::with_capacity(array.len() * 4);
        // Logical order, whatever the order in memory.
        for (flat, value) in array.iter().enumerate() {
            if !element(value.number(), dtype, &mut bytes) {
                return Err(self.misfit(name, &place(flat, &dims), value.number(), dtype));
            }
        }
        Ok(Tensor {
            dims,
            dtype,
            bytes: bytes.into(),
        })
    }

    /// Says which value an input cannot take.
    fn misfit(&self, name: &str, at: &[usize], value: Number, dtype: Dtype) -> Error {
        let kind = type_name(dtype);
        let finite = !matches!(value, Number::Real(v) if !v.is_finite());
        let what = match (finite, at.first()) {
            (true, _) => format!("holds {value} at {at:?}, which is no {kind} value; the input takes {kind}"),
            (false, Some(sample)) => format!("holds {value} in sample {sample}, at {at:?}; the input takes {kind}"),
            (false, None) => format!("holds {value}; the input takes {kind}"),
        };
        self.wrong(name, &what)
    }

    /// `images`, uint8.
    pub(super) fn images(&mut self) -> Result<Option<ArrayD<u8>>> {
        if !self.names.iter().any(|n| n == "images") {
            return Ok(None);
        }
        match self.types.get("images").map(String::as_str) {
            Some("u1") => self.array("images").map(Some),
            other => {
                let what = format!(
                    "holds {}; `images` are 8-bit (uint8, N×H×W×C). Name arrays that are scaled already after the model's input",
                    named(other.unwrap_or("no type"))
                );
                Err(self.wrong("images", &what))
            }
        }
    }

    /// `labels`: whole numbers, one a sample.
    pub(super) fn labels(&mut self) -> Result<Option<Vec<i64>>> {
        let Some(found) = self.tensor("labels", Dtype::Int64)? else {
            return Ok(None);
        };
        let dims = &found.tensor.dims;
        if dims.iter().skip(1).any(|&d| d != 1) {
            let what = format!("has extents {dims:?}; one class number a sample is expected");
            return Err(self.wrong("labels", &what));
        }
        Ok(found.tensor.to_i64())
    }
}

/// The indices of the element that is the `flat`-th in row-major order.
pub(super) fn place(mut flat: usize, dims: &[usize]) -> Vec<usize> {
    let mut at = vec![0; dims.len()];
    for (index, &dim) in at.iter_mut().zip(dims).rev() {
        (*index, flat) = (flat % dim.max(1), flat / dim.max(1));
    }
    at
}

/// What an element type is called in Python.
pub(super) fn type_name(dtype: Dtype) -> String {
    match dtype {
        Dtype::Float => "float32".to_owned(),
        Dtype::Double => "float64".to_owned(),
        other => other.as_str_name().to_lowercase(),
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
