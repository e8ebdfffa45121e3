//! What an output is made by.

use crate::onnx::Graph;

/// What the values of an output are, by the operators that make them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutputEnd {
    /// Shares that add up to one (Softmax), or their logarithms.
    Softmax,
    /// A share each (Sigmoid).
    Sigmoid,
    /// Vectors of length one (LpNormalization, or a division by a norm), or batch-normalized, as embeddings are.
    Normalized,
    /// Numbers of classes (ArgMax).
    Best,
    /// A resized map.
    Resized,
    /// Anything else.
    Other,
}

/// Operators that change no value.
const SAME_VALUES: &[&str] = &[
    "Reshape",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "Cast",
    "Flatten",
    "Concat",
    "Slice",
    "Gather",
    "Split",
];
/// Operators between a norm and the division by it.
const OF_NORMS: &[&str] = &[
    "Clip",
    "Expand",
    "Max",
    "Add",
    "Identity",
    "Sqrt",
    "Unsqueeze",
    "Reshape",
    "Pow",
];
/// Nodes looked at, at most.
const MOST: usize = 64;

/// The operators that make the values of an output, each once, in order.
pub fn ends_of(graph: &Graph, output: &str) -> Vec<OutputEnd> {
    let mut found = Vec::new();
    let mut open = vec![output.to_owned()];
    let mut seen = 0;
    while let Some(name) = open.pop() {
        seen += 1;
        let Some(&at) = graph.producer.get(name.as_str()).filter(|_| seen <= MOST) else {
            continue;
        };
        let node = &graph.proto.node[at];
        let all = match node.op_type() {
            "Concat" => node.input.len(),
            _ => 1,
        };
        if SAME_VALUES.contains(&node.op_type()) {
            open.extend(node.input.iter().take(all).cloned());
            continue;
        }
        found.push(match node.op_type() {
            "Softmax" | "LogSoftmax" => OutputEnd::Softmax,
            "Sigmoid" | "HardSigmoid" => OutputEnd::Sigmoid,
            "LpNormalization" | "BatchNormalization" => OutputEnd::Normalized,
            "Div" if node.input.get(1).is_some_and(|by| is_norm(graph, by)) => OutputEnd::Normalized,
            "ArgMax" => OutputEnd::Best,
            "Resize" | "Upsample" => OutputEnd::Resized,
            _ => OutputEnd::Other,
        });
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether a value is a Euclidean norm: `ReduceL2`, or the root of a sum of squares.
fn is_norm(graph: &Graph, name: &str) -> bool {
    let (mut name, mut rooted) = (name.to_owned(), false);
    for _ in 0..8 {
        let Some(&at) = graph.producer.get(name.as_str()) else {
            return false;
        };
        let node = &graph.proto.node[at];
        match node.op_type() {
            "ReduceL2" => return true,
            // A sum alone is that of a softmax that is written out.
            "ReduceSumSquare" | "ReduceSum" => return rooted,
            op if OF_NORMS.contains(&op) => match node.input.first() {
                Some(input) => {
                    rooted |= matches!(op, "Sqrt" | "Pow");
                    name.clone_from(input);
                }
                None => return false,
            },
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{OutputEnd, ends_of};
    use crate::onnx::proto::{GraphProto, NodeProto};
    use crate::onnx::{Graph, named_value};

    fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: Some(op.to_owned()),
            input: inputs.iter().map(|i| (*i).to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Default::default()
        }
    }

    #[test]
    fn an_output_is_what_its_last_operators_make_it() -> crate::Result<()> {
        let proto = GraphProto {
            input: vec![named_value("x")],
            node: vec![
                node("Conv", &["x"], "a"),
                node("Sigmoid", &["a"], "b"),
                node("Concat", &["a", "b"], "c"),
                node("Transpose", &["c"], "boxes"),
                node("ReduceL2", &["a"], "n"),
                node("Clip", &["n"], "m"),
                node("Div", &["a", "m"], "unit"),
                node("Div", &["a", "b"], "ratio"),
            ],
            ..Default::default()
        };
        let graph = Graph::new(&proto)?;
        assert_eq!(ends_of(&graph, "boxes"), [OutputEnd::Sigmoid, OutputEnd::Other]);
        assert_eq!(ends_of(&graph, "unit"), [OutputEnd::Normalized]);
        assert_eq!(ends_of(&graph, "ratio"), [OutputEnd::Other]);
        Ok(())
    }
}
