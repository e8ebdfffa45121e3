//! The file: protobuf types, loading and saving, tensors, and an index of the graph.

mod attribute;
mod beneath;
mod builder;
mod check;
mod contents;
mod defaults;
mod dtype;
mod external;
mod graph;
mod load;
mod node_names;
mod order;
/// The protobuf messages, generated from `proto/onnx.proto`.
#[allow(missing_docs, clippy::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
}
mod outside;
mod packed;
mod save;
mod tensor;
mod tensors;

pub use attribute::Attributes;
pub use builder::NodeBuilder;
pub use defaults::declare_weights;
pub use dtype::{Dtype, element_size};
pub use graph::{Graph, captured_names, constant_of, label, named_value};
pub use load::{Model, Reading, files, load, load_as, load_bare, parse, standard_opset};
pub use node_names::with_node_names;
pub use order::constants_to_readers;
pub use outside::{LARGEST, Outside};
pub use save::{Saved, THRESHOLD, Weights, encode, save, save_model};
pub use tensor::Tensor;
