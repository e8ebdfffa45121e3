//! Names for nodes, so that what ran can be told apart.

use std::collections::HashSet;

use super::graph::label;
use super::proto::ModelProto;

/// The model with a name for every node, its [`label`], where it has none or shares it. ONNX Runtime numbers nodes without a name in an
/// order of its own.
pub fn with_node_names(model: &ModelProto) -> ModelProto {
    let mut named = model.clone();
    let mut taken: HashSet<String> = HashSet::new();
    for (index, node) in named.graph.iter_mut().flat_map(|g| &mut g.node).enumerate() {
        if node.name().is_empty() || taken.contains(node.name()) {
            let op = node.op_type().to_owned();
            let shared = std::mem::take(&mut node.name).filter(|name| !name.is_empty());
            node.name = Some(match shared {
                Some(name) => format!("{name}#{index}({op})"),
                None => label(node, index),
            });
        }
        taken.insert(node.name().to_owned());
    }
    named
}

#[cfg(test)]
mod tests {
    use super::with_node_names;
    use crate::onnx::proto::{GraphProto, ModelProto, NodeProto};

    #[test]
    fn every_node_has_a_name_of_its_own() {
        let node = |name: &str| NodeProto {
            op_type: Some("Relu".to_owned()),
            name: Some(name.to_owned()),
            output: vec!["y".to_owned()],
            ..Default::default()
        };
        let graph = GraphProto {
            node: vec![node("a"), node(""), node("a")],
            ..Default::default()
        };
        let model = ModelProto {
            graph: Some(graph),
            ..Default::default()
        };
        let named = with_node_names(&model).graph.unwrap();
        let names: Vec<&str> = named.node.iter().map(NodeProto::name).collect();
        assert_eq!(names, ["a", "Relu#1(y)", "a#2(Relu)"]);
    }
}
