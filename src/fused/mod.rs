//! An operator of our own for ONNX Runtime: convolutions that read the chosen tiles where they lie and write them where they
//! belong, without gathering. On CUDA a kernel for tensor cores, compiled when it first runs; on the CPU a plain reference.
//!
//! `TileConv` makes a batch of tiles from a map or from tiles; `TileConvAdd` writes them into a map, with the other addend.

mod cpu;
mod cuda;
mod layout;
mod library;
mod operator;

pub use layout::Layout;
pub use operator::domain;

/// The operators' domain in a model.
pub const DOMAIN: &str = "snapprune";
