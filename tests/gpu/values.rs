//! Values that stay on the device between the parts of a model.

use super::{CudaOptions, common, gpu, network};

use common::difference;
use snapprune::device::{Executor, NamedTensor, ShapeOptions, input_specs, random_inputs};
use snapprune::onnx::{Dtype, Graph, encode};
use snapprune::score::StagedExecutor;

#[test]
fn values_that_stay_on_the_device_are_the_same() {
    let Some(device) = gpu(CudaOptions::default()) else {
        return;
    };
    assert!(device.memory().is_some_and(|free| free > 0));
    for dtype in [Dtype::Float, Dtype::Float16] {
        let model = network(dtype, 4);
        let graph = Graph::of(&model).unwrap();
        let specs = input_specs(&graph, &ShapeOptions::default()).unwrap();
        let inputs = random_inputs(&specs, 3, 1.0).unwrap();
        let nodes = model.graph.as_ref().unwrap().node.len();
        let outputs = |bytes: Option<u64>| -> Vec<NamedTensor> {
            let executor = StagedExecutor::of(&device, &inputs).unwrap();
            let mut executor = match bytes {
                Some(bytes) => executor.staying(bytes),
                None => executor,
            };
            let mut found = Vec::new();
            for to in [nodes / 3, 2 * nodes / 3] {
                executor.advance(&model, &graph, to, &[]).unwrap();
            }
            // What is on the device cannot be read here.
            let kept = executor.runs()[0].values();
            let floats = kept.filter(|v| matches!(v.dtype(), Some(Dtype::Float | Dtype::Float16)));
            let read: Vec<bool> = floats.map(|v| v.floats().is_some()).collect();
            assert!(!read.is_empty());
            assert!(read.iter().all(|&r| r == bytes.is_none_or(|b| b > 1 << 60)));
            executor
                .finish(&model, &graph, 2 * nodes / 3, &mut |_, outputs| {
                    found.extend(outputs.into_iter().map(|(name, value)| (name, value.tensor().unwrap())));
                    Ok(())
                })
                .unwrap();
            found
        };
        let plain = outputs(None);
        assert!(!plain.is_empty());
        let rounding = device.outputs_plain(&encode(&model), &inputs).unwrap();
        // The second is too much for the device's memory.
        for bytes in [1 << 20, u64::MAX] {
            let apart = difference(&plain, &outputs(Some(bytes)), &rounding);
            assert!(apart.beyond_rounding < 1e-3, "{dtype:?} {bytes}: {apart:?}");
        }
    }
}
