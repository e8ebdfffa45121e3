//! Quantizers of other kinds whose scales are chosen anew: without a zero point, and several of one tensor.

use crate::common::cpu;
use crate::common::net::Net;
use crate::common::quantized::typed;
use crate::requantize::{conv, error, even, folded_relu, follows, outputs, pair, parameters, samples};

use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Attributes, Dtype};
use snapprune::optimize::ActivationScales;
use snapprune::reconstruct::{CalibrationMethod, rescaled};

/// A `Relu` and a convolution, with an activation between them that is quantized by scales alone: nothing has a zero point, or only what
/// quantizes.
fn without_zero_points(scale: f32, zeros_in_front: bool) -> ModelProto {
    let mut net = Net::new(17, 4);
    let x = net.input("x", &[1, 4, 12, 12]);
    let y = net.node("Relu", &[&x], |_| {});
    let scale_name = net.constant(&snapprune::onnx::Tensor::from_f32(vec![], &[scale]));
    let zero = net.constant(&typed(Dtype::Uint8, &[], &[0]));
    let q = match zeros_in_front {
        true => net.node("QuantizeLinear", &[&y, &scale_name, &zero], |_| {}),
        false => net.node("QuantizeLinear", &[&y, &scale_name], |_| {}),
    };
    let y = net.node("DequantizeLinear", &[&q, &scale_name], |_| {});
    let y = conv(&mut net, &y, &even(4, 5), scale);
    net.output(&y);
    net.model()
}

#[test]
fn quantizers_without_a_zero_point_have_zero_of_their_type() {
    // Values reach 1: 256 steps from zero on.
    let data = samples(&without_zero_points(1.0, false), 24);
    for zeros_in_front in [false, true] {
        let fine = without_zero_points(1.0 / 255.0, zeros_in_front);
        let wanted = outputs(&fine, &data);
        for scale in [0.2 / 255.0, 40.0 / 255.0] {
            let off = without_zero_points(scale, zeros_in_front);
            let all = (&data, 0..data.runs());
            let new = rescaled(&cpu(), (&fine, &off), all, CalibrationMethod::MinMax).unwrap();
            assert_eq!((new.changed, new.of), (1, 1));
            let (before, after) = (
                error(&wanted, &outputs(&off, &data)),
                error(&wanted, &outputs(&new.proto, &data)),
            );
            assert!(20.0 * after < before, "from {scale}: {before} {after}");
            follows(&new.proto);
            let inputs = |model: &ModelProto| -> Vec<usize> {
                let nodes = &model.graph.as_ref().unwrap().node;
                nodes.iter().map(|n| n.input.len()).collect()
            };
            assert_eq!(inputs(&new.proto), inputs(&off), "no zero point came or went");
        }
    }
}

/// One tensor that is quantized twice, roughly for one convolution and finely for another.
fn read_twice(scales: [f32; 2]) -> ModelProto {
    let mut net = Net::new(17, 4);
    let x = net.input("x", &[1, 4, 12, 12]);
    let x = net.node("Relu", &[&x], |_| {});
    let both = scales.map(|scale| {
        let y = pair(&mut net, &x, scale, -128);
        conv(&mut net, &y, &even(4, 5), scale)
    });
    both.iter().for_each(|y| net.output(y));
    net.model()
}

#[test]
fn two_quantizers_of_one_tensor_both_get_new_scales() {
    let data = samples(&folded_relu(1.0), 24);
    let all = (&data, 0..data.runs());
    for method in [CalibrationMethod::MinMax, CalibrationMethod::Entropy] {
        let rough = read_twice([40.0 / 255.0, 20.0 / 255.0]);
        let new = rescaled(&cpu(), (&rough, &rough), all.clone(), method).unwrap();
        assert_eq!((new.changed, new.of), (2, 2), "{method:?}");
        let scales = parameters(&new.proto);
        assert!(
            scales.iter().all(|s| (s.0 * 255.0 - 1.0).abs() < 0.02),
            "{method:?} {scales:?}"
        );
        // The second one cuts off at a half, as a `Clip` that was folded into it does; the first one does not.
        let cut = read_twice([40.0 / 255.0, 0.5 / 255.0]);
        let new = rescaled(&cpu(), (&cut, &cut), all.clone(), method).unwrap();
        let scales = parameters(&new.proto);
        assert!((scales[0].0 * 255.0 - 1.0).abs() < 0.02, "{method:?} {scales:?}");
        assert_eq!(scales[1], parameters(&cut)[1], "{method:?}");
    }
}

/// Two convolutions whose inputs are quantized, the first one's by a scale for each channel.
fn by_channel() -> ModelProto {
    let mut net = Net::new(17, 4);
    let x = net.input("x", &[1, 4, 12, 12]);
    let scales = net.constant(&snapprune::onnx::Tensor::from_f32(vec![4], &[0.01, 0.02, 0.03, 0.04]));
    let zeros = net.constant(&typed(Dtype::Int8, &[4], &[0; 4]));
    let axis = |n: &mut snapprune::onnx::proto::NodeProto| n.set_int("axis", 1);
    let q = net.node("QuantizeLinear", &[&x, &scales, &zeros], axis);
    let y = net.node("DequantizeLinear", &[&q, &scales, &zeros], axis);
    let y = conv(&mut net, &y, &even(4, 12), 0.01);
    let y = pair(&mut net, &y, 1.0, 0);
    let y = conv(&mut net, &y, &even(12, 5), 1.0);
    net.output(&y);
    net.model()
}

#[test]
fn activations_with_a_scale_for_each_channel_stay_and_are_told() {
    let model = by_channel();
    let data = samples(&model, 24);
    let new = rescaled(
        &cpu(),
        (&model, &model),
        (&data, 0..data.runs()),
        CalibrationMethod::MinMax,
    )
    .unwrap();
    assert_eq!((new.changed, new.of, new.per_channel), (1, 1, 1));
    // Weights are quantized by channel too, and no activations.
    let plain = folded_relu(1.0);
    let data = samples(&plain, 24);
    let new = rescaled(
        &cpu(),
        (&plain, &plain),
        (&data, 0..data.runs()),
        CalibrationMethod::MinMax,
    )
    .unwrap();
    assert_eq!(new.per_channel, 0);
    let scales = |per_channel| ActivationScales {
        method: "min-max",
        of: 3,
        changed: 0,
        per_channel,
        loss_before: 0.0,
        loss_after: 0.0,
        taken: false,
    };
    assert_eq!(scales(0).text(), "all 3 stay: min-max gives the same");
    assert_eq!(
        scales(2).text(),
        "all 3 stay: min-max gives the same; 2 with a scale for each channel or block stay"
    );
}
