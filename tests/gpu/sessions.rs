//! Sessions that are timed give outputs and times of nodes too.

use super::{common, gpu, network, traces, variants};

use common::difference;
use snapprune::device::{CpuFallback, Executor, NodeRuns, ShapeOptions, Timer, input_specs, random_inputs};
use snapprune::onnx::{Dtype, Graph, encode};

#[test]
fn timed_sessions_give_the_outputs_that_the_device_gives() {
    for options in variants() {
        let Some(device) = gpu(options) else { return };
        for dtype in [Dtype::Float, Dtype::Float16] {
            let model = network(dtype, 4);
            let specs = input_specs(&Graph::of(&model).unwrap(), &ShapeOptions::default()).unwrap();
            let model = encode(&model);
            let [timed, other] = [1, 2].map(|seed| random_inputs(&specs, seed, 1.0).unwrap());
            let mut session = device.load(&model, &timed, CpuFallback::Allowed).unwrap();
            assert!(session.gives_outputs());
            let before = session.run().unwrap();
            let (found, expected) = (
                session.outputs(&other).unwrap(),
                device.outputs(&model, &other).unwrap(),
            );
            let apart = difference(&expected, &found, &device.outputs_plain(&model, &other).unwrap());
            assert!(apart.beyond_rounding < 1e-3, "{options:?} {dtype:?}: {apart:?}");
            assert!(before > 0.0 && session.run().unwrap() > 0.0);
        }
    }
}

#[test]
fn a_watched_session_tells_its_nodes_times_once_and_is_as_any_other_then() {
    for options in variants() {
        let Some(device) = gpu(options) else { return };
        if !traces(&device) {
            return;
        }
        let model = network(Dtype::Float, 8);
        let specs = input_specs(&Graph::of(&model).unwrap(), &ShapeOptions::default()).unwrap();
        let (model, inputs) = (encode(&model), random_inputs(&specs, 0, 1.0).unwrap());
        let Some(mut session) = device.prepare_watched(&model, &inputs).unwrap() else {
            assert!(options.graph);
            continue;
        };
        let runs = NodeRuns {
            warmup: 2,
            timed: 4,
            fallback: CpuFallback::Allowed,
        };
        session.first_run().unwrap();
        let told = session.node_times(runs).unwrap().expect("kernels without a node");
        let kernels = |nodes: &[snapprune::device::NodeTime]| -> Vec<String> {
            nodes.iter().flat_map(|n| &n.kernels).map(|k| k.name.clone()).collect()
        };
        let alone = device.node_times(&model, &inputs, runs).unwrap().unwrap();
        assert_eq!(kernels(&told), kernels(&alone), "{options:?}");
        assert!(session.node_times(runs).unwrap().is_none());
        session.settle().unwrap();
        assert!(session.run().unwrap() > 0.0);
        assert_eq!(session.outputs(&inputs).unwrap().len(), 1);
    }
}
