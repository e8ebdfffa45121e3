//! Weights in a file beside the model, for messages that would be too large, or where the user wants it so.

use std::io::{Result as Written, Write};

use bytes::Bytes;
use prost::Message;

use super::proto::{ModelProto, StringStringEntryProto, TensorProto, tensor_proto::DataLocation};
use super::tensor::Tensor;
use crate::{Error, Result};

/// The most bytes of a message: protobuf's readers take up to 2 GiB, less one byte, and notes may be added.
pub const LARGEST: usize = 1_900_000_000;

/// Large weights begin where pages do (of any system), so that they can be mapped; others where SIMD registers like it.
const LARGE: usize = 1 << 20;
const PAGE: u64 = 1 << 16;
const WORD: u64 = 64;

/// The bytes that were taken out of a message, each with its place in the file.
#[derive(Debug, Default)]
pub struct Outside {
    parts: Vec<(u64, Bytes)>,
    length: u64,
}

impl Outside {
    /// Takes all initializers of at least `threshold` bytes out of the message; it then names `location` for them.
    ///
    /// # Errors
    /// When the message is larger than [`LARGEST`] all the same.
    pub fn of(model: &mut ModelProto, threshold: usize, location: &str) -> Result<Self> {
        let mut outside = Self::default();
        for tensor in model.graph.iter_mut().flat_map(|g| &mut g.initializer) {
            outside.take(tensor, threshold, location);
        }
        match model.encoded_len() {
            size if size > LARGEST => Err(Error::Model(format!(
                "without its weights the model is still {size} bytes, more than ONNX Runtime reads"
            ))),
            _ => Ok(outside),
        }
    }

    fn take(&mut self, tensor: &mut TensorProto, threshold: usize, location: &str) {
        if tensor.data_location() == DataLocation::External || tensor.encoded_len() < threshold {
            return;
        }
        // Texts and values of less than a byte stay.
        let Ok(read) = Tensor::read(tensor) else { return };
        if read.is_empty() || read.bytes.len() < threshold {
            return;
        }
        let step = if read.bytes.len() >= LARGE { PAGE } else { WORD };
        let offset = self.length.next_multiple_of(step);
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value),
        };
        self.length = offset + read.bytes.len() as u64;
        // Values that stood in other fields go too.
        read.store(tensor);
        tensor.raw_data = None;
        tensor.data_location = Some(DataLocation::External as i32);
        tensor.external_data = vec![
            entry("location", location.to_owned()),
            entry("offset", offset.to_string()),
            entry("length", read.bytes.len().to_string()),
        ];
        self.parts.push((offset, read.bytes));
    }

    /// Whether nothing was taken.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Writes the file's bytes.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, to: &mut impl Write) -> Written<()> {
        let mut at = 0;
        for (offset, bytes) in &self.parts {
            let gap = offset.saturating_sub(at);
            std::io::copy(&mut std::io::Read::take(std::io::repeat(0), gap), to)?;
            to.write_all(bytes)?;
            at = offset + bytes.len() as u64;
        }
        Ok(())
    }

    /// The file's bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        let mut all = Vec::with_capacity(usize::try_from(self.length).unwrap_or(0));
        for (offset, bytes) in self.parts {
            all.resize(usize::try_from(offset).unwrap_or(0), 0);
            all.extend_from_slice(&bytes);
        }
        all
    }
}
