//! The model that a command reads: a file, or standard input.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::files::must_be_a_file;
use crate::device::{Runtime, ShapeOptions};
use crate::error::SymbolicShapes;
use crate::onnx::load_bare;
use crate::optimize::{Opened, open};
use crate::{Error, Result};

/// What stands for standard input and standard output among file names.
const STREAM: &str = "-";

/// Whether a name stands for standard input or output.
pub fn is_stream(path: &Path) -> bool {
    path == Path::new(STREAM)
}

/// A model to read.
#[derive(Debug)]
pub struct ModelSource {
    /// Its file.
    pub path: PathBuf,
    /// Its name, for people.
    pub name: String,
    /// Keeps the file while it is needed, where it is a copy of what came in.
    copy: Option<NamedTempFile>,
}

impl ModelSource {
    /// The file, or for `-` what standard input gives.
    ///
    /// # Errors
    /// When it is no file, or standard input is a terminal.
    pub fn of(path: &Path) -> Result<Self> {
        if !is_stream(path) {
            must_be_a_file(path)?;
            return Ok(Self {
                path: path.to_path_buf(),
                name: path.display().to_string(),
                copy: None,
            });
        }
        let mut stdin = std::io::stdin();
        if stdin.is_terminal() {
            let what = "`-` reads the model from standard input, which is a terminal: pipe a file into it, or name one";
            return Err(Error::Usage(what.to_owned()));
        }
        let mut bytes = Vec::new();
        stdin
            .read_to_end(&mut bytes)
            .map_err(|e| Error::file("standard input", e))?;
        Self::of_bytes(&bytes, "stdin.onnx")
    }

    /// A model that came as bytes.
    ///
    /// # Errors
    /// When no temporary file can be made.
    pub fn of_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        let fail = |e| Error::file(std::env::temp_dir(), e);
        let copy = NamedTempFile::with_suffix(".onnx").map_err(fail)?;
        std::fs::write(copy.path(), bytes).map_err(fail)?;
        Ok(Self {
            path: copy.path().to_path_buf(),
            name: name.to_owned(),
            copy: Some(copy),
        })
    }

    /// Loads it at input shapes, and relates its channels.
    ///
    /// # Errors
    /// Those of [`open`], with the model's name; when it came as bytes and has weights in other files, and nobody says where.
    pub fn open(&self, runtime: &Runtime, shapes: &ShapeOptions) -> Result<Opened> {
        if self.is_copy() && shapes.reading.external_data_dir.is_none() {
            let bare = load_bare(&self.path).map_err(|e| self.named(e))?;
            if bare.external {
                return Err(Error::UnplacedWeights(self.name.clone()));
            }
        }
        open(&self.path, runtime, shapes).map_err(|e| self.named(e))
    }

    /// An error about the model, with its name in place of that of the copy.
    pub fn named(&self, error: Error) -> Error {
        let path = self.path.display().to_string();
        match error {
            Error::Model(what) if self.is_copy() => Error::Model(what.replace(&path, &self.name)),
            Error::LinkedWeights(what) if self.is_copy() => Error::LinkedWeights(what.replace(&path, &self.name)),
            Error::SymbolicShapes(shapes) if self.is_copy() => Error::SymbolicShapes(SymbolicShapes {
                model: shapes.model.map(|model| model.replace(&path, &self.name)),
                ..shapes
            }),
            other => other,
        }
    }

    /// Whether it came as bytes and lies in no file of the user's.
    pub fn is_copy(&self) -> bool {
        self.copy.is_some()
    }

    /// The name without its folders.
    pub fn file_name(&self) -> String {
        let name = Path::new(&self.name).file_name();
        name.map_or_else(|| self.name.clone(), |n| n.to_string_lossy().into_owned())
    }
}
