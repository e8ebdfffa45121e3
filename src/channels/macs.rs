//! Multiply-accumulates of a layer, for any widths, and of how many samples they are.

use std::collections::HashSet;

use super::dependency_graph::{DependencyGraph, ValueId, input_value};
use crate::onnx::Graph;
use crate::ops::{LinearKind, LinearSpec};

/// How many samples one run takes: the size of axis 0 of every input and output, where they all have the same and every
/// layer reads as many samples or whole times as many; else 1, so that what is counted is a whole run. An axis 0 that is
/// open in every input is the batch whatever the outputs' shapes are.
pub fn samples(graph: &Graph, dependencies: &DependencyGraph, open: &HashSet<(String, usize)>) -> usize {
    let first = |name: &str| {
        dependencies
            .by_name(name)
            .and_then(|id| dependencies.dims(id).first())
            .copied()
    };
    let inputs: Vec<(&str, usize)> = graph
        .real_inputs()
        .into_iter()
        .filter_map(|n| Some((n, first(n)?)))
        .collect();
    let Some(count) = inputs.first().map(|i| i.1).filter(|n| *n > 1) else {
        return 1;
    };
    let is_open = inputs.iter().all(|(n, _)| open.contains(&((*n).to_owned(), 0)));
    let mut outputs = graph.proto.output.iter().filter_map(|o| first(o.name()));
    let mut layers = graph
        .proto
        .node
        .iter()
        .filter(|n| LinearSpec::slides(n) || LinearSpec::kind_of(n) == Some(LinearKind::Gemm))
        .filter_map(|n| first(n.input.first()?));
    let same = inputs.iter().all(|i| i.1 == count) && (is_open || outputs.all(|n| n == count));
    if same && layers.all(|n| n.is_multiple_of(count)) {
        count
    } else {
        1
    }
}

/// Multiply-accumulates of one run of node `index` with the sizes that `dim` gives; 0 for other than linear operators and
/// where shapes are not known.
pub fn node_macs(
    graph: &Graph,
    dependencies: &DependencyGraph,
    index: usize,
    dim: &dyn Fn(ValueId, usize) -> usize,
) -> u64 {
    let node = &graph.proto.node[index];
    let Some(spec) = LinearSpec::of(node) else { return 0 };
    let shape = |id: ValueId| -> Option<Vec<usize>> {
        let rank = dependencies.value(id).dims.as_ref()?.len();
        Some((0..rank).map(|axis| dim(id, axis)).collect())
    };
    let input = |i: usize| input_value(dependencies, node, index, i).and_then(shape);
    let output = node
        .output
        .first()
        .and_then(|n| dependencies.by_name(n))
        .and_then(shape);
    match (input(0), input(spec.weight), output) {
        (Some(x), Some(w), Some(y)) => spec.macs(node, &x, &w, &y),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use crate::Result;
    use crate::channels::{Shapes, analyze};
    use crate::onnx::proto::{GraphProto, NodeProto, ValueInfoProto};
    use crate::onnx::{Graph, Tensor};

    /// `x` → convolution of 2 to 3 channels → `y`, over 4×4 places; in between the axes may be turned. Multiply-accumulates
    /// and samples.
    fn counted(x: [usize; 4], y: [usize; 4], conv: [usize; 4], open: bool) -> Result<(u64, usize)> {
        let node = |op: &str, inputs: &[&str], output: &str| NodeProto {
            op_type: Some(op.to_owned()),
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Default::default()
        };
        let value = |name: &str| ValueInfoProto {
            name: Some(name.to_owned()),
            ..Default::default()
        };
        let graph = GraphProto {
            node: vec![
                node("Transpose", &["x"], "a"),
                node("Conv", &["a", "w"], "b"),
                node("Transpose", &["b"], "y"),
            ],
            initializer: vec![Tensor::from_f32(vec![3, 2, 1, 1], &[1.0; 6]).to_proto("w")],
            input: vec![value("x")],
            output: vec![value("y")],
            ..Default::default()
        };
        let mut shapes = Shapes::default();
        let made = [conv[0], 3, conv[2], conv[3]];
        for (name, dims) in [("x", x), ("y", y), ("a", conv), ("b", made)] {
            shapes.dims.insert(name.to_owned(), dims.to_vec());
        }
        if open {
            shapes.dynamic.insert(("x".to_owned(), 0));
        }
        let analysis = analyze(&Graph::new(&graph)?, 17, &shapes)?;
        Ok((analysis.total_macs(), analysis.samples))
    }

    #[test]
    fn one_sample_is_counted_at_any_batch() -> Result<()> {
        for n in [1, 8] {
            let (x, y) = ([n, 2, 4, 4], [n, 3, 4, 4]);
            assert_eq!(counted(x, y, x, false)?, (96, n));
            // An open axis 0 is the batch, also where the output has other axes.
            assert_eq!(counted(x, [4, n, 3, 4], x, true)?, (96, n));
        }
        Ok(())
    }

    #[test]
    fn a_run_is_counted_whole_where_axis_0_is_not_the_batch() -> Result<()> {
        // Time first: 5 steps of 3 samples, which the convolution reads as 3 samples.
        assert_eq!(counted([5, 3, 2, 4], [5, 3, 3, 4], [3, 2, 5, 4], false)?, (360, 1));
        assert_eq!(counted([8, 2, 4, 4], [1, 3, 4, 4], [8, 2, 4, 4], false)?, (768, 1));
        Ok(())
    }
}
