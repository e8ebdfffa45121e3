use snapprune::channels::{Analysis, Shapes, analyze};
use snapprune::onnx::proto::{GraphProto, tensor_shape_proto::dimension::Value as Dim, type_proto::Value as Kind};
use snapprune::onnx::{Graph, encode, parse};
use snapprune::plan::{LatencyModel, WiderWidths, candidates, folds_of, macs_after, removable};
use snapprune::profile::layers;
use snapprune::rewrite::rewrite;

use super::plan::{Draws, plan};

/// Whatever the graph and the shapes that its notes claim: channels are found or held, and a plan for them is refused or gives a
/// graph that can be read again. The first 16 bytes draw the plan.
pub fn inspect(bytes: &[u8]) {
    let Some((drawn, model)) = bytes.split_at_checked(16) else {
        return;
    };
    let Ok(model) = parse(model.to_vec()) else { return };
    let Ok(graph) = Graph::of(&model.proto) else { return };
    let Some(shapes) = claimed(graph.proto) else { return };
    let Ok(analysis) = analyze(&graph, model.opset(), &shapes) else {
        return;
    };
    look(&graph, &analysis);
    let drawn = plan(&graph, &analysis, &mut Draws(drawn));
    let Ok(change) = drawn.change(&graph, &analysis) else {
        return;
    };
    let _ = macs_after(&graph, &analysis, &change);
    let (folds, _) = folds_of(&change, &removable(&graph, &analysis));
    if let Ok(after) = rewrite(&model.proto, &graph, &analysis, &change, &folds) {
        let written = parse(encode(&after)).expect("what is written can be read");
        Graph::of(&written.proto).expect("what is written is in order");
    }
}

/// What is looked up of every model.
fn look(graph: &Graph, analysis: &Analysis) {
    let spare = removable(graph, analysis);
    let _ = candidates(
        analysis,
        &|id| spare.classes.get(&id).map_or(0, Vec::len),
        WiderWidths::BlocksAndOdd,
    );
    let _ = (
        LatencyModel::new(graph, analysis, &layers(graph, analysis)),
        analysis.free_share(),
    );
    for group in &analysis.groups {
        assert!(
            group
                .constraint
                .as_ref()
                .is_none_or(|l| l.silent || !l.reason.is_empty()),
            "held without a reason"
        );
        assert!(!group.classes.is_empty(), "a group without channels");
    }
}

/// The extents that the graph notes for its values; `None` where no run could have made them here.
fn claimed(graph: &GraphProto) -> Option<Shapes> {
    let mut shapes = Shapes::default();
    for info in graph.input.iter().chain(&graph.value_info).chain(&graph.output) {
        let Some(Kind::TensorType(tensor)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
            continue;
        };
        let Some(shape) = &tensor.shape else { continue };
        let dims = shape.dim.iter().map(|d| match d.value {
            Some(Dim::DimValue(v)) => usize::try_from(v).ok().filter(|&v| v <= 4096),
            _ => Some(2),
        });
        shapes.dims.insert(info.name().to_owned(), dims.collect::<Option<_>>()?);
    }
    let all: usize = shapes.dims.values().flatten().sum();
    (all < 100_000).then_some(shapes)
}
