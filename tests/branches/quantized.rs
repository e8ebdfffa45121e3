//! Branches between `QuantizeLinear` and `DequantizeLinear`.

use super::{all_gone, apart, none, unread, with_nothing_added};
use crate::common::Case;
use crate::common::net::{Net, tensor_type};
use crate::common::quantized::typed;
use snapprune::onnx::proto::{ModelProto, ValueInfoProto};
use snapprune::onnx::{Attributes, Dtype, Graph, Tensor};

/// A value as a quantizer would leave it.
fn quantized(net: &mut Net, x: &str, scale: f32, zero: i64) -> String {
    let (scale, zero) = (
        net.constant(&Tensor::from_f32(vec![], &[scale])),
        net.constant(&typed(Dtype::Uint8, &[], &[zero])),
    );
    let q = net.node("QuantizeLinear", &[x, &scale, &zero], none);
    net.node("DequantizeLinear", &[&q, &scale, &zero], none)
}

fn quantized_conv(net: &mut Net, x: &str, cin: usize, cout: usize) -> String {
    let values: Vec<i64> = (0..cin * cout * 9).map(|_| net.random.i64(-63..=63)).collect();
    let values = net.constant(&typed(Dtype::Int8, &[cout, cin, 3, 3], &values));
    let scale = net.constant(&Tensor::from_f32(vec![], &[0.003]));
    let zero = net.constant(&typed(Dtype::Int8, &[], &[0]));
    let w = net.node("DequantizeLinear", &[&values, &scale, &zero], none);
    net.node("Conv", &[x, &w], |n| n.set_ints("pads", vec![1; 4]))
}

/// A quantized block behind what a zero point of 0 has made nonnegative, or one of 100 has not.
fn quantized_block(zero: i64) -> Case {
    let mut net = Net::new(17, 8);
    let x = net.input("x", &[1, 3, 8, 8]);
    let x = quantized(&mut net, &x, 0.02, 128);
    let x = quantized_conv(&mut net, &x, 3, 8);
    let x = quantized(&mut net, &x, 0.01, zero);
    let f = quantized_conv(&mut net, &x, 8, 12);
    let f = quantized(&mut net, &f, 0.01, 0);
    let f = quantized_conv(&mut net, &f, 12, 8);
    let f = quantized(&mut net, &f, 0.01, 110);
    let y = net.node("Add", &[&f, &x], none);
    // What is below nothing is cut off here.
    let y = quantized(&mut net, &y, 0.015, 0);
    let y = quantized_conv(&mut net, &y, 8, 5);
    let y = quantized(&mut net, &y, 0.01, 120);
    net.output(&y);
    Case::new(&net.model()).unwrap()
}

#[test]
fn quantized_branches_go_with_what_quantizes_them() {
    for (zero, goes) in [(0, true), (100, false)] {
        let case = quantized_block(zero);
        let branch = case.analysis.branches.values().next().unwrap();
        let without = case.apply(&all_gone(&case)).unwrap();
        let count = |m: &ModelProto, op: &str| {
            m.graph
                .as_ref()
                .unwrap()
                .node
                .iter()
                .filter(|n| n.op_type() == op)
                .count()
        };
        assert_eq!(count(&without, "Conv"), 2);
        // The sum's own quantization cuts off what is negative: it goes where nothing is.
        assert_eq!(
            count(&case.proto, "QuantizeLinear") - count(&without, "QuantizeLinear"),
            2 + usize::from(goes)
        );
        assert_eq!(branch.nodes.iter().filter(|&&n| case.analysis.macs[n] > 0).count(), 2);
        // Integer kernels round each sum on their own.
        let (far, near) = (
            apart(&case, &case.proto, &without),
            apart(&case, &with_nothing_added(&case), &without),
        );
        assert!(near < 0.1 && far > 3.0 * near, "{zero}: {far} {near}");
        assert_eq!(unread(&without), unread(&case.proto));
        Graph::of(&without).unwrap();
    }
}

/// What a caller gives in its place may be another number.
#[test]
fn a_zero_point_that_may_be_replaced_is_not_known() {
    let mut model = quantized_block(0).proto;
    let whole = |model: &ModelProto| {
        Case::as_given(model)
            .unwrap()
            .analysis
            .branches
            .values()
            .next()
            .unwrap()
            .nodes
            .len()
    };
    let known = whole(&model);
    let graph = model.graph.as_mut().unwrap();
    let last = graph.node.iter().position(|n| n.op_type() == "Add").unwrap() + 1;
    let zero = graph.node[last].input[2].clone();
    graph.input.push(ValueInfoProto {
        name: Some(zero),
        r#type: Some(tensor_type(Dtype::Uint8, &[])),
        ..ValueInfoProto::default()
    });
    assert_eq!(whole(&model) + 2, known);
}
