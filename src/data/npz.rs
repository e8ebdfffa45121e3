//! Arrays of an `.npz` file.

use std::fs::File;
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
