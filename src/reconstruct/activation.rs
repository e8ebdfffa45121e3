//! The function of one number right behind a layer.

use crate::channels::spec_of;
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Graph};
use crate::ops::scalar::ScalarFn;

/// The function behind a value, where nothing else reads it: that of an operator, or x · g(x) written as two.
pub(super) fn behind(graph: &Graph, name: &str) -> Option<ScalarFn> {
    if graph.is_seen_outside(name) {
        return None;
    }
    let mut readers = graph.consumers.get(name)?.clone();
    readers.sort_unstable();
    readers.dedup();
    match *readers.as_slice() {
        [one] => function(graph, name, graph.proto.node.get(one)?),
        [first, second] => {
            let (gate, product) = (graph.proto.node.get(first)?, graph.proto.node.get(second)?);
            let made = gate.output.first()?;
            let both = product.input.iter().all(|i| i == name || i == made) && product.input.len() == 2;
            let alone = graph
                .consumers
                .get(made.as_str())
                .is_some_and(|r| r.as_slice() == [second]);
            let given_out = graph.proto.output.iter().any(|o| o.name() == made);
            let f = function(graph, name, gate)?;
            let swish = product.op_type() == "Mul" && product.is_standard() && both && alone && !given_out;
            swish.then(|| -> ScalarFn { Box::new(move |x| x * f(x)) })
        }
        _ => None,
    }
}

/// The function of a node of which a value is the first input and the only one that is no constant.
fn function(graph: &Graph, name: &str, node: &NodeProto) -> Option<ScalarFn> {
    let mut rest = node.input.iter().skip(1).filter(|n| !n.is_empty());
    let first = node.input.first().is_some_and(|n| n == name);
    (first && rest.all(|n| graph.constant(n).is_some()))
        .then(|| spec_of(node)?.scalar?.function(graph, node))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::behind;
    use crate::onnx::Graph;
    use crate::onnx::proto::{GraphProto, NodeProto, ValueInfoProto};

    /// Nodes as operator, inputs and output.
    fn graph(nodes: &[(&str, &[&str], &str)], output: &str) -> GraphProto {
        let node = |&(op, inputs, output): &(&str, &[&str], &str)| NodeProto {
            op_type: Some(op.to_owned()),
            input: inputs.iter().map(|n| (*n).to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Default::default()
        };
        let value = |name: &str| ValueInfoProto {
            name: Some(name.to_owned()),
            ..Default::default()
        };
        GraphProto {
            node: nodes.iter().map(node).collect(),
            input: vec![value("y"), value("w")],
            output: vec![value(output)],
            ..Default::default()
        }
    }

    #[test]
    fn a_function_is_that_of_what_alone_reads_a_value() -> crate::Result<()> {
        type Case = (
            &'static [(&'static str, &'static [&'static str], &'static str)],
            &'static str,
            Option<f64>,
        );
        let cases: &[Case] = &[
            (&[("Relu", &["y"], "z")], "z", Some(0.0)),
            (&[("Sigmoid", &["y"], "z")], "z", Some(1.0 / (1.0 + 2.0_f64.exp()))),
            // Swish as two nodes.
            (
                &[("Sigmoid", &["y"], "s"), ("Mul", &["y", "s"], "z")],
                "z",
                Some(-2.0 / (1.0 + 2.0_f64.exp())),
            ),
            // Another reader, a gate that something else reads, a product with something else, a value that is given out.
            (&[("Relu", &["y"], "z"), ("Neg", &["y"], "n")], "z", None),
            (
                &[
                    ("Sigmoid", &["y"], "s"),
                    ("Mul", &["y", "s"], "z"),
                    ("Neg", &["s"], "n"),
                ],
                "z",
                None,
            ),
            (&[("Sigmoid", &["y"], "s"), ("Mul", &["y", "w"], "z")], "z", None),
            (&[("Relu", &["y"], "z")], "y", None),
            (&[("Softmax", &["y"], "z")], "z", None),
            (&[("Add", &["y", "w"], "z")], "z", None),
        ];
        for (nodes, output, expected) in cases {
            let proto = graph(nodes, output);
            let found = behind(&Graph::new(&proto)?, "y").map(|f| f(-2.0));
            let same = match (found, expected) {
                (Some(a), Some(b)) => (a - b).abs() < 1e-9,
                (a, b) => a.is_none() && b.is_none(),
            };
            assert!(same, "{nodes:?}: {found:?}");
        }
        Ok(())
    }
}
