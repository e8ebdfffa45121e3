//! The file: protobuf types, loading and saving, tensors, and an index of the graph.

mod attribute;
mod check;
mod external;
mod graph;
mod load;
/// The protobuf messages, generated from `proto/onnx.proto`.
#[allow(missing_docs, clippy::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
}
mod save;
mod tensor;

pub use attribute::Attributes;
pub use graph::{Graph, captured_names, label};
pub use load::{Model, files, load, parse};
pub use save::{encode, save};
pub use tensor::{Dtype, Tensor};
