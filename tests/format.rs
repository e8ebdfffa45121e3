//! The file: what is kept, and where external data may lie.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use common::net::external;
use common::zoo;
use prost::Message;
use snapprune::onnx::proto::{ModelProto, TensorProto};
use snapprune::onnx::{Dtype, Tensor, encode, load, save};

/// A model whose first weight lies at `location`, with the bytes of that weight.
fn placed(location: &str, offset: u64, length: u64) -> (ModelProto, bytes::Bytes) {
    let (offset, length) = (offset.to_string(), length.to_string());
    external(&[("location", location), ("offset", &offset), ("length", &length)])
}

#[test]
fn external_data_is_read_from_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let (model, bytes) = placed("weights.bin", 8, 48);
    std::fs::write(folder.path().join("weights.bin"), [&[9u8; 8][..], &bytes].concat()).unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, encode(&model)).unwrap();
    let loaded = load(&path).unwrap();
    let weight = &loaded.graph().unwrap().initializer[0];
    assert_eq!(Tensor::read(weight).unwrap().bytes, bytes);
    assert!(loaded.external && weight.external_data.is_empty());
}

#[test]
fn real_files_decode_and_encode_to_the_same_meaning() {
    use protobuf::Message as _;
    for path in zoo() {
        let model = load(&path).unwrap();
        let encoded = encode(&model.proto);
        assert_eq!(ModelProto::decode(encoded.as_slice()).unwrap(), model.proto);
        let ours = onnx_protobuf::ModelProto::parse_from_bytes(&encoded).unwrap();
        let theirs = onnx_protobuf::ModelProto::parse_from_bytes(&model.bytes).unwrap();
        assert!(ours == theirs, "{}", path.display());
    }
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    save(&path, b"first").unwrap();
    save(&path, b"second").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"second");
    assert!(save(&folder.path().join("no/such/place"), b"x").is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn declared_sizes_must_fit_the_bytes() {
    let proto = |dims: Vec<i64>, bytes: usize| TensorProto {
        dims,
        data_type: Some(Dtype::Float as i32),
        raw_data: Some(vec![0; bytes].into()),
        name: Some("w".into()),
        ..Default::default()
    };
    assert!(Tensor::read(&proto(vec![2, 2], 16)).is_ok());
    for bad in [
        proto(vec![2, 2], 15),
        proto(vec![-1], 4),
        proto(vec![i64::MAX, i64::MAX], 4),
        proto(vec![1 << 40], 4),
    ] {
        assert!(Tensor::read(&bad).unwrap_err().to_string().contains("'w'"));
    }
}
