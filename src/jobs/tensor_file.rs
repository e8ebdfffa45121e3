//! Tensors in a file, from one process to another: the initializers of a graph.

use std::path::Path;

use prost::Message;

use crate::device::NamedTensor;
use crate::onnx::Tensor;
use crate::onnx::proto::GraphProto;
use crate::{Error, Result};

/// Writes tensors to a file.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_tensors(path: &Path, tensors: &[NamedTensor]) -> Result<()> {
    let graph = GraphProto {
        initializer: tensors.iter().map(|(name, tensor)| tensor.to_proto(name)).collect(),
        ..GraphProto::default()
    };
    std::fs::write(path, graph.encode_to_vec()).map_err(|e| Error::file(path, e))
}

/// Reads tensors that [`write_tensors`] wrote.
///
/// # Errors
/// When the file cannot be read, or holds something else.
pub(super) fn read_tensors(path: &Path) -> Result<Vec<NamedTensor>> {
    let bytes = std::fs::read(path).map_err(|e| Error::file(path, e))?;
    let graph =
        GraphProto::decode(bytes.as_slice()).map_err(|e| Error::device(format!("no tensors in a file ({e})")))?;
    let named = graph
        .initializer
        .iter()
        .map(|t| Ok((t.name().to_owned(), Tensor::read(t)?)));
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::{read_tensors, write_tensors};
    use crate::onnx::Tensor;

    #[test]
    fn tensors_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tensors");
        let tensors = vec![
            ("x".to_owned(), Tensor::from_f32(vec![1, 2], &[1.5, f32::NAN])),
            ("none".to_owned(), Tensor::from_f32(vec![0, 3], &[])),
            ("shape".to_owned(), Tensor::from_i64(&[-1, 7])),
        ];
        write_tensors(&path, &tensors).unwrap();
        let read = read_tensors(&path).unwrap();
        assert_eq!(read.len(), 3);
        for ((name, tensor), (own, other)) in tensors.iter().zip(&read) {
            assert_eq!(
                (name, &tensor.dims, tensor.dtype, &tensor.bytes),
                (own, &other.dims, other.dtype, &other.bytes)
            );
        }
        std::fs::write(&path, b"no graph").unwrap();
        assert!(read_tensors(&path).is_err());
    }
}
