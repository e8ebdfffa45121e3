//! The registry of operators. One file an operator family: how the axes of its inputs, weights and outputs correspond, what
//! else in the node must follow when they change, and what else the other modules ask of an operator (see [`OpSpec`]).

mod axis_factors;
mod concat;
mod conv;
mod einsum;
mod elementwise;
mod gather;
mod grid_sample;
mod integer;
mod matmul;
mod norm;
mod pad;
mod pool;
mod quantize;
mod reduce;
mod reshape;
mod resize;
mod slice;
mod space;
mod spec;
mod transpose;

pub use spec::{AtZero, BlockedLayout, FusedActivation, OpSpec, Operands, Policy, Reach, Sign};

use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph};

/// The entry of a node's operator, of the standard or of ONNX Runtime; `None` for other domains.
pub fn spec_of(node: &NodeProto) -> Option<&'static OpSpec> {
    match node.domain() {
        "com.microsoft" => microsoft().find(|spec| spec.name == node.op_type()),
        _ => find(node.op_type()).filter(|_| node.is_standard()),
    }
}

/// Every operator of ONNX Runtime's domain.
pub fn microsoft() -> impl Iterator<Item = &'static OpSpec> {
    [quantize::MICROSOFT, integer::MICROSOFT].into_iter().flatten()
}

/// The entry of an operator that computes what a node does, where that is of the standard or of ONNX Runtime.
pub fn like(node: &NodeProto) -> Option<&'static OpSpec> {
    let name = match node.op_type() {
        "SimplifiedLayerNormalization" => "RMSNormalization",
        name => name,
    };
    find(name).filter(|_| node.is_standard() || node.domain() == "com.microsoft")
}

/// The entry of an operator of the standard.
pub fn find(name: &str) -> Option<&'static OpSpec> {
    all().find(|spec| spec.name == name)
}

/// Whether a value comes from operators that make nothing negative.
pub fn never_negative(graph: &Graph, name: &str) -> bool {
    let Some(node) = graph.producer.get(name).map(|&n| &graph.proto.node[n]) else {
        return false;
    };
    match spec_of(node).map_or(Sign::Any, |s| s.sign) {
        Sign::Any => false,
        Sign::NonNegative => true,
        Sign::AsInput => node.input.first().is_some_and(|x| never_negative(graph, x)),
        Sign::OfNode(rule) => rule(graph, node),
    }
}

/// Every operator of the registry.
pub fn all() -> impl Iterator<Item = &'static OpSpec> {
    [
        conv::OPS,
        matmul::OPS,
        einsum::OPS,
        norm::OPS,
        elementwise::OPS,
        concat::OPS,
        slice::OPS,
        gather::OPS,
        pad::OPS,
        reshape::OPS,
        transpose::OPS,
        space::OPS,
        pool::OPS,
        grid_sample::OPS,
        reduce::OPS,
        resize::OPS,
        quantize::OPS,
        integer::OPS,
    ]
    .into_iter()
    .flatten()
}
