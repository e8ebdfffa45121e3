//! From a file to a model in memory.

use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;

use super::check::{check, check_values};
use super::contents::contents;
use super::defaults::fix_weights;
use super::external::{Folder, locations, read_external_data, uses_external_data};
use super::order::sort;
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
    /// Whether nodes of the file stood before others that they need; in `proto` they are in order.
    pub sorted: bool,
    /// Weights that were graph inputs too and, in `proto`, are no longer.
    pub fixed: usize,
}

/// How a file is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The folder that external data is read from, and nowhere else; links in it are followed. Without, it is the model's own, where
    /// they are not.
    pub external_data_dir: Option<PathBuf>,
    /// Weights that are also graph inputs, which callers may replace, become plain constants.
    pub fix_weights: bool,
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

    /// The bytes of a file that holds all weights itself, its nodes in order.
    pub fn into_bytes(self) -> Bytes {
        if self.external || self.sorted || self.fixed > 0 {
            encode(&self.proto).into()
        } else {
            self.bytes
        }
    }

    /// The version of the standard operators that the model uses.
    pub fn opset(&self) -> i64 {
        standard_opset(&self.proto)
    }
}

/// The version of the standard operators that a model uses.
pub fn standard_opset(model: &ModelProto) -> i64 {
    let mut imports = model.opset_import.iter();
    let standard = imports.find(|o| matches!(o.domain(), "" | "ai.onnx"));
    standard.map_or(1, |o| o.version())
}

/// Reads a model file and its external data.
///
/// # Errors
/// When the file cannot be read, is not an ONNX model, or its external data breaks a rule.
pub fn load(path: &Path) -> Result<Model> {
    load_as(path, &Reading::default())
}

/// Reads a model file without its external data.
///
/// # Errors
/// When the file cannot be read, or is not an ONNX model.
pub fn load_bare(path: &Path) -> Result<Model> {
    let opened = File::open(path).and_then(|mut f| contents(&mut f));
    let bytes = opened.map_err(|e| Error::file(path, e))?;
    parse(bytes).map_err(|e| Error::Model(format!("{}: {e}", path.display())))
}

/// Reads a model file and its external data in a given way.
///
/// # Errors
/// As [`load`].
pub fn load_as(path: &Path, reading: &Reading) -> Result<Model> {
    let mut model = load_bare(path)?;
    if model.external {
        let folder = match (&reading.external_data_dir, path.parent()) {
            (Some(folder), _) => Folder::Named(folder),
            (None, Some(parent)) if parent != Path::new("") => Folder::Own(parent),
            _ => Folder::Own(Path::new(".")),
        };
        read_external_data(&mut model.proto, folder).map_err(|e| match e {
            linked @ Error::LinkedWeights(_) => linked.in_model(path),
            e => Error::Model(format!("{}: {e}", path.display())),
        })?;
    }
    if reading.fix_weights {
        model.fixed = fix_weights(&mut model.proto);
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

/// Decodes a model from bytes, which its weights then share. External data is not read. Nodes are put in order.
///
/// # Errors
/// When the bytes are not an ONNX model with a graph, or it breaks a rule: a name that is there twice, a tensor whose bytes do not
/// fit its extents, an attribute that makes no sense, nodes that need each other in a circle.
pub fn parse(bytes: impl Into<Bytes>) -> Result<Model> {
    let bytes = bytes.into();
    let mut proto = ModelProto::decode(bytes.clone()).map_err(|e| Error::Model(format!("not an ONNX model ({e})")))?;
    if proto.graph.as_ref().is_none_or(|g| g.node.is_empty()) {
        return Err(Error::Model("not an ONNX model: it has no nodes".to_owned()));
    }
    check(&proto)?;
    let sorted = sort(&mut proto)?;
    Ok(Model {
        sorted,
        fixed: 0,
        external: uses_external_data(&proto),
        hash: blake3::hash(&bytes).to_hex().to_string(),
        proto,
        bytes,
    })
}
