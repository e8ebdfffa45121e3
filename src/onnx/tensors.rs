//! All tensors of a graph: its weights, those of its nodes, and those in bodies.

use super::proto::{GraphProto, TensorProto};

/// Every tensor, in the order of the file.
pub(super) fn tensors(graph: &GraphProto) -> Vec<&TensorProto> {
    let mut all: Vec<&TensorProto> = graph.initializer.iter().collect();
    for sparse in &graph.sparse_initializer {
        all.extend(sparse.values.iter().chain(&sparse.indices));
    }
    for attribute in graph.node.iter().flat_map(|n| &n.attribute) {
        all.extend(attribute.t.iter().chain(&attribute.tensors));
        all.extend(attribute.g.iter().chain(&attribute.graphs).flat_map(tensors));
    }
    all
}

/// The same, to be changed.
pub(super) fn tensors_mut(graph: &mut GraphProto) -> Vec<&mut TensorProto> {
    let mut all: Vec<&mut TensorProto> = graph.initializer.iter_mut().collect();
    for sparse in &mut graph.sparse_initializer {
        all.extend(sparse.values.iter_mut().chain(&mut sparse.indices));
    }
    for attribute in graph.node.iter_mut().flat_map(|n| &mut n.attribute) {
        all.extend(attribute.t.iter_mut().chain(&mut attribute.tensors));
        all.extend(
            attribute
                .g
                .iter_mut()
                .chain(&mut attribute.graphs)
                .flat_map(tensors_mut),
        );
    }
    all
}
