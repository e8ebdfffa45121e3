use std::sync::OnceLock;

use snapprune::channels::analyze;
use snapprune::device::{
    CpuDevice, Executor, Runtime, ShapeOptions, input_specs, observe, random_inputs, without_value_info,
};
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Graph, encode, parse};
use snapprune::plan::{folds_of, removable};
use snapprune::rewrite::rewrite;
use snapprune::verify::compare;

use super::graphs::generate;
use super::plan::{Draws, plan};

/// Whatever graph and plan the bytes draw: it is refused, or ONNX Runtime runs what is written, and where nothing was lost the
/// outputs are the same.
pub fn apply(bytes: &[u8]) {
    let mut draws = Draws(bytes);
    let (seed, steps) = (draws.below(256) as u64, 1 + draws.below(12));
    let model = generate(seed, steps, &mut |range| range.start + draws.below(range.len()));
    applied(&model, &mut draws);
}

fn applied(model: &ModelProto, draws: &mut Draws) {
    let graph = Graph::of(model).expect("a generated graph is in order");
    let specs = input_specs(&graph, &ShapeOptions::default()).expect("its inputs are settled");
    let seen = observe(runtime(), model, &specs).expect("a generated graph can be run");
    let analysis = analyze(&graph, 13, &seen.shapes).expect("its channels are found");
    let drawn = plan(&graph, &analysis, draws);
    let Ok(change) = drawn.change(&graph, &analysis) else {
        return;
    };
    let (folds, carrying) = folds_of(&change, &removable(&graph, &analysis));
    let Ok(after) = rewrite(model, &graph, &analysis, &change, &folds) else {
        return;
    };
    let written = encode(&after);
    parse(written.clone()).expect("what is written can be read");
    let target = CpuDevice::new(runtime().clone(), 1);
    let inputs = random_inputs(&specs, 1, 1.0).expect("inputs are made");
    target
        .outputs(&written, &inputs)
        .expect("ONNX Runtime runs what is written");
    if carrying == 0 && change.branches.is_empty() {
        let same = compare(&target, &encode(&without_value_info(model)), &written, &specs, 0, 1).expect("both run");
        assert!(same.holds(), "an exact plan changes the outputs: {same:?}");
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Runtime::load(None)
            .expect("ONNX Runtime: set ORT_DYLIB_PATH")
            .with_threads(1)
    })
}
