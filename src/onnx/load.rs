//! From a file to a model in memory.

use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;

use super::check::{check, check_values};
use super::contents::contents;
use super::external::{locations, read_external_data, uses_external_data};
use super::proto::{GraphProto, ModelProto};
use super::save::encode;
use crate::{Error, Result};

/// A model, with the bytes it came from.
#[derive(Clone, Debug)]
pub struct Model {
    /// The decoded message, with external data brought in.
    pub proto: ModelProto,
    /// The file as it was.
    pub bytes: Bytes,
    /// BLAKE3 of the file, in hexadecimal.
    pub hash: String,
    /// Whether the weights, or some of them, lay in files beside the model.
    pub external: bool,
}

impl Model {
    /// The main graph.
    ///
    /// # Errors
    /// When the file has none.
    pub fn graph(&self) -> Result<&GraphProto> {
        self.proto
            .graph
            .as_ref()
            .ok_or_else(|| Error::Model("the model has no graph".to_owned()))
    }

    /// The bytes of a file that holds all weights itself.
    pub fn into_bytes(self) -> Bytes {
        if self.external {
            encode(&self.proto).into()
        } else {
            self.bytes
        }
    }

    /// The version of the standard operators that the model uses.
    pub fn opset(&self) -> i64 {
        self.proto
            .opset_import
            .iter()
            .find(|o| matches!(o.domain(), "" | "ai.onnx"))
            .map_or(1, |o| o.version())
    }
}

/// Reads a model file and its external data.
///
/// # Errors
/// When the file cannot be read, is not an ONNX model, or its external data breaks a rule.
pub fn load(path: &Path) -> Result<Model> {
    let opened = File::open(path).and_then(|mut f| contents(&mut f));
    let bytes = opened.map_err(|e| Error::file(path, e))?;
    let mut model = parse(bytes).map_err(|e| Error::Model(format!("{}: {e}", path.display())))?;
    if model.external {
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        read_external_data(&mut model.proto, folder).map_err(|e| Error::Model(format!("{}: {e}", path.display())))?;
    }
    if let Some(graph) = &model.proto.graph {
        check_values(graph).map_err(|e| Error::Model(format!("{}: {e}", path.display())))?;
    }
    Ok(model)
}

/// The files that a model is made of: its own and, as far as it can be read, those beside it that hold weights.
pub fn files(path: &Path) -> Vec<PathBuf> {
    let read = File::open(path).and_then(|mut f| contents(&mut f)).unwrap_or_default();
    // Few models have such files, and those name the key.
    let named = memchr::memmem::find(&read, b"location").is_some();
    let model = named.then(|| parse(read).ok()).flatten();
    let beside = model.map_or_else(Default::default, |m| locations(&m.proto));
    let folder = path.parent().unwrap_or(Path::new(""));
    std::iter::once(path.to_path_buf())
        .chain(beside.into_iter().map(|l| folder.join(l)))
        .collect()
}

/// Decodes a model from bytes, which its weights then share. External data is not read.
///
/// # Errors
/// When the bytes are not an ONNX model with a graph, or it breaks a rule: a name that is there twice, a tensor whose bytes do not
/// fit its extents, an attribute that makes no sense.
pub fn parse(bytes: impl Into<Bytes>) -> Result<Model> {
    let bytes = bytes.into();
    let proto = ModelProto::decode(bytes.clone()).map_err(|e| Error::Model(format!("not an ONNX model ({e})")))?;
    if proto.graph.as_ref().is_none_or(|g| g.node.is_empty()) {
        return Err(Error::Model("not an ONNX model: it has no nodes".to_owned()));
    }
    check(&proto)?;
    Ok(Model {
        external: uses_external_data(&proto),
        hash: blake3::hash(&bytes).to_hex().to_string(),
        proto,
        bytes,
    })
}
