//! Metrics that are counted from a graph: exact, for the original and for every rewritten model.

use super::liveness;
use super::metric::Metric;
use crate::Result;
use crate::channels::{Analysis, ChannelChange, IndexRemaps, ValueId, node_macs};
use crate::onnx::Graph;
use crate::onnx::proto::ModelProto;
use crate::onnx::proto::tensor_proto::DataType;

/// The amount of a metric in `model`, which is the model of `graph` with `change` applied. 0 for what is measured.
///
/// # Errors
/// When `model` is no graph in order.
pub fn count(
    metric: Metric,
    model: &ModelProto,
    graph: &Graph,
    analysis: &Analysis,
    change: &ChannelChange,
) -> Result<u64> {
    Ok(match metric {
        Metric::Latency => 0,
        Metric::Macs => macs_after(graph, analysis, change),
        Metric::Params => parameters(model),
        Metric::Memory => peak_bytes(&Graph::of(model)?, analysis, change),
    })
}

/// Multiply-accumulates of the graph for one sample with `change` applied.
pub fn macs_after(graph: &Graph, analysis: &Analysis, change: &ChannelChange) -> u64 {
    let remaps = IndexRemaps::new(&analysis.dependencies, &analysis.groups, change);
    let dim = |id: ValueId, axis: usize| remaps.dim(&analysis.dependencies, id, axis);
    let gone = |n: &usize| {
        let mut gone = analysis.branches_at(&change.branches);
        gone.any(|b| b.nodes.contains(n))
    };
    (0..graph.proto.node.len())
        .filter(|n| !gone(n))
        .map(|n| node_macs(graph, &analysis.dependencies, n, &dim) / analysis.samples as u64)
        .sum()
}

/// Elements of all weights, with their scales and zero points where they are quantized; 64-bit integers are shapes and indices.
pub fn parameters(model: &ModelProto) -> u64 {
    let graph = model.graph.iter();
    graph
        .flat_map(|g| {
            let constants = g.node.iter().filter(|n| n.op_type() == "Constant");
            let inline = constants.flat_map(|n| n.attribute.iter().filter_map(|a| a.t.as_ref()));
            g.initializer.iter().chain(inline)
        })
        .filter(|t| !matches!(t.data_type(), x if x == DataType::Int64 as i32))
        .map(|t| t.dims.iter().map(|&d| d.max(0) as u64).product::<u64>())
        .sum()
}

/// The bytes of the activations of a rewritten graph that are alive at once, at most, in one run at the shapes of the
/// analysis, which is that of the original. Values whose shape is not known count nothing.
fn peak_bytes(graph: &Graph, analysis: &Analysis, change: &ChannelChange) -> u64 {
    let dependencies = &analysis.dependencies;
    let remaps = IndexRemaps::new(dependencies, &analysis.groups, change);
    let bytes = |name: &str| -> u64 {
        let Some(id) = dependencies
            .by_name(name)
            .filter(|&id| dependencies.value(id).dims.is_some())
        else {
            return 0;
        };
        let axes = 0..dependencies.dims(id).len();
        let elements: u64 = axes.map(|axis| remaps.dim(dependencies, id, axis) as u64).product();
        elements * analysis.bytes_of(name) as u64
    };
    let sum = |alive: &Vec<&str>| alive.iter().map(|name| bytes(name)).sum();
    liveness::peaks(graph).iter().map(sum).max().unwrap_or(0)
}
