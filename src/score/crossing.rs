//! Which values cross a point of a graph, and how large they are.

use std::collections::{HashMap, HashSet};

use crate::channels::Analysis;
use crate::onnx::{Graph, captured_names};

/// Bytes of all values of the graph for one sample, counting as float32. `batch`: samples that the analysed shapes hold.
pub fn value_bytes(analysis: &Analysis, batch: usize) -> u64 {
    let values = analysis.dependencies.values.iter().filter(|v| v.constant_use.is_none());
    let size = |dims: &Vec<usize>| dims.iter().map(|&d| d as u64).product::<u64>();
    let all: u64 = values.filter_map(|v| v.dims.as_ref()).map(size).sum();
    (4 * all).div_ceil(batch.max(1) as u64)
}

/// The most bytes that cross one place of the graph for one sample, values counting as float32. `batch`: samples that the
/// analysed shapes hold.
pub fn crossing_bytes(graph: &Graph, analysis: &Analysis, batch: usize) -> u64 {
    let dependencies = &analysis.dependencies;
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.proto.node.iter().enumerate() {
        last.extend(node.input.iter().map(|n| (n.as_str(), index)));
    }
    let size = |name: &str| -> u64 {
        let dims = dependencies.by_name(name).map_or(&[][..], |id| dependencies.dims(id));
        4 * dims.iter().map(|&d| d as u64).product::<u64>()
    };
    let (mut now, mut most) = (0, 0);
    let mut freed: HashMap<usize, u64> = HashMap::new();
    for (index, node) in graph.proto.node.iter().enumerate() {
        for name in node.output.iter().filter(|n| !n.is_empty()) {
            now += size(name);
            *freed
                .entry(last.get(name.as_str()).copied().unwrap_or(index))
                .or_insert(0) += size(name);
        }
        most = most.max(now);
        now -= freed.remove(&index).unwrap_or(0);
    }
    most.div_ceil(batch.max(1) as u64)
}

/// Names that nodes from `to` on read, or that the graph gives out.
pub fn read_from<'g>(graph: &Graph<'g>, to: usize) -> HashSet<&'g str> {
    let mut names: HashSet<&str> = graph.proto.output.iter().map(|o| o.name()).collect();
    let captured: HashSet<String> = graph.proto.node[to..].iter().flat_map(captured_names).collect();
    names.extend(
        graph.proto.node[to..]
            .iter()
            .flat_map(|n| n.input.iter().map(String::as_str)),
    );
    names.extend(graph.producer.keys().filter(|n| captured.contains(**n)));
    names
}
