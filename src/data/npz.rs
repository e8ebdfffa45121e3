//! Arrays of an `.npz` file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadNpyExt, ReadableElement};

use super::npz_head::{heads, named, stem};
use super::npz_texts::texts_of;
use super::numbers::{Number, Stored, element};
use crate::error::SamplesFault;
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
        let what = format!("it is no .npz file ({e}); write one with numpy.savez, or name a folder of images");
        SamplesFault::Contents(what).at(path)
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
        SamplesFault::Contents(format!("array '{name}' {what}")).at(&self.path)
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

    /// `labels` that are texts; `None` where they are something else.
    ///
    /// # Errors
    /// When the array cannot be read.
    pub(super) fn label_texts(&mut self) -> Result<Option<Vec<String>>> {
        let is_text = |t: &String| t.starts_with(['U', 'S']);
        let Some(descr) = self.types.get("labels").filter(|t| is_text(t)).cloned() else {
            return Ok(None);
        };
        let read = || -> std::result::Result<Vec<String>, String> {
            let file = File::open(&self.path).map_err(|e| e.to_string())?;
            let mut archive = zip::ZipArchive::new(file).map_err(|e| e.to_string())?;
            let mut bytes = Vec::new();
            let mut member = archive.by_name("labels.npy").map_err(|e| e.to_string())?;
            member.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
            texts_of(&bytes, &descr)
        };
        read()
            .map(Some)
            .map_err(|e| self.wrong("labels", &format!("cannot be read: {e}")))
    }

    /// `labels`: whole numbers.
    pub(super) fn labels(&mut self) -> Result<Option<LabelArray>> {
        let found = self.tensor("labels", Dtype::Int64)?;
        Ok(found.map(|found| LabelArray {
            values: found.tensor.to_i64().unwrap_or_default(),
            dims: found.tensor.dims,
        }))
    }
}

/// The array `labels`.
pub(super) struct LabelArray {
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<i64>,
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

    use super::open;

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
}
