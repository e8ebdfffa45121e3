use snapprune::device::{ShapeOptions, input_specs, without_value_info};
use snapprune::onnx::{Graph, Tensor, encode, parse};

/// Whatever the bytes of a model: it is refused, or its graph can be looked up, its inputs settled and its tensors read; what is
/// written of it is read again as the same.
pub fn load(bytes: &[u8]) {
    let Ok(model) = parse(bytes.to_vec()) else { return };
    let written = encode(&model.proto);
    let again = parse(written).expect("what was read is written so that it can be read");
    assert_eq!(encode(&again.proto), encode(&model.proto));
    let _ = without_value_info(&model.proto);
    let Ok(graph) = Graph::of(&model.proto) else { return };
    let _ = input_specs(&graph, &ShapeOptions::default());
    for tensor in &graph.proto.initializer {
        if let Ok(tensor) = Tensor::read(tensor) {
            let _ = (tensor.to_f32(), tensor.to_i64(), tensor.numbers());
            for axis in 0..tensor.dims.len().min(4) {
                let _ = tensor.rebuild_axis(axis, &[None, Some(0)], 0.0);
            }
        }
    }
    for name in graph.producer.keys() {
        let _ = graph.constant(name);
    }
}
