//! Gates of channels around squeeze-and-excite modules, and activations that stand as their parts.

use snapprune::gate::{BranchStep, Gate, GateForm, blocks, gated, pairs, tilings};
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Attributes, Graph};

use super::{Dice, apart, unlike};
use crate::common::Case;
use crate::common::net::Net;

/// x · clip(x + 3, 0, 6) / 6, as exporters write hard swish where there is no operator.
fn hard_swish(net: &mut Net, x: &str) -> String {
    let [three, zero, six] = [3.0, 0.0, 6.0].map(|v| net.floats(&[], v, v));
    let more = net.node("Add", &[x, &three], |_| {});
    let clipped = net.node("Clip", &[&more, &zero, &six], |_| {});
    let product = net.node("Mul", &[x, &clipped], |_| {});
    net.node("Div", &[&product, &six], |_| {})
}

fn swish(net: &mut Net, x: &str) -> String {
    let gate = net.node("Sigmoid", &[x], |_| {});
    net.node("Mul", &[x, &gate], |_| {})
}

/// A map times a number for each channel.
fn excited(net: &mut Net, x: &str, channels: usize, reduce: bool) -> String {
    let pooled = match reduce {
        true => net.node("ReduceMean", &[x], |n| n.set_ints("axes", vec![2, -1])),
        false => net.node("GlobalAveragePool", &[x], |_| {}),
    };
    let hidden = net.conv(&pooled, channels, 6, 1, 1);
    let hidden = match reduce {
        true => swish(net, &hidden),
        false => net.node("Relu", &[&hidden], |_| {}),
    };
    let numbers = net.conv(&hidden, 6, channels, 1, 1);
    let numbers = net.node("Sigmoid", &[&numbers], |_| {});
    net.node("Mul", &[&numbers, x], |_| {})
}

/// Inverted bottlenecks with modules, one with a shortcut and one without, and a residual block with a module behind its last convolution.
fn bottlenecks() -> ModelProto {
    let mut net = Net::new(17, 11);
    let image = net.input("image", &[1, 3, 12, 12]);
    let first = net.conv(&image, 3, 8, 3, 1);
    let mut x = net.node("Relu", &[&first], |_| {});
    for shortcut in [true, false] {
        let wide = net.conv(&x, 8, 24, 1, 1);
        let wide = hard_swish(&mut net, &wide);
        let wide = net.conv(&wide, 24, 24, 3, 24);
        let wide = hard_swish(&mut net, &wide);
        let wide = excited(&mut net, &wide, 24, shortcut);
        let narrow = net.conv(&wide, 24, 8, 1, 1);
        x = match shortcut {
            true => net.node("Add", &[&x, &narrow], |_| {}),
            false => net.node("Relu", &[&narrow], |_| {}),
        };
    }
    let inner = net.conv(&x, 8, 16, 3, 1);
    let inner = net.node("Relu", &[&inner], |_| {});
    let inner = net.conv(&inner, 16, 8, 3, 1);
    let inner = excited(&mut net, &inner, 8, false);
    x = net.node("Add", &[&x, &inner], |_| {});
    x = net.node("GlobalAveragePool", &[&x], |_| {});
    net.output(&x);
    net.model()
}

#[test]
fn channels_around_modules_make_what_their_reference_form_makes() {
    let case = Case::new(&bottlenecks()).unwrap();
    let graph = Graph::new(case.proto.graph.as_ref().unwrap()).unwrap();
    let (found, refused) = blocks(&graph, &case.analysis);
    assert!(refused.is_empty(), "{refused:?}");
    let modules = |steps: &[BranchStep]| steps.iter().filter(|s| matches!(s, BranchStep::Excite(_))).count();
    let seen: Vec<(bool, usize, usize)> = found
        .iter()
        .map(|b| (b.other.is_some(), modules(&b.steps), pairs(b).len()))
        .collect();
    // A module that no convolution of the branch reads stays outside: what is in front of it is a chain, which tiles serve, and so are its own
    // convolutions.
    assert_eq!(seen, [(true, 1, 1), (false, 1, 1), (false, 0, 1), (false, 0, 1)]);
    assert_eq!(
        found.iter().map(|b| tilings(b, 4).is_empty()).collect::<Vec<_>>(),
        [true, true, false, true]
    );
    let mut dice = Dice(fastrand::Rng::with_seed(8));
    for fixed in [true, false] {
        let gates = found.iter().map(|block| {
            let mut channels = dice.channels(block, pairs(block)[0], 0.4);
            if fixed {
                channels.attention.fill(0.0);
                channels.fill.fill(0.0);
            }
            Gate {
                block: block.clone(),
                tiles: None,
                channels: vec![channels],
            }
        });
        let mut gates: Vec<Gate> = gates.collect();
        let far = apart(&case, &gates.iter().collect::<Vec<_>>(), 1);
        assert!(far < 1e-4, "{far} apart from the reference form");
        // What modules read is narrower, too: 10 of 24 channels.
        let list: Vec<&Gate> = gates.iter().collect();
        assert!(unlike(&case, &list, 1) > 1e-3);
        let compact = gated(&case.proto, &graph, &list, GateForm::Compact).unwrap();
        let gathers = compact
            .graph
            .unwrap()
            .node
            .iter()
            .filter(|n| n.op_type() == "Gather")
            .count();
        assert!(gathers >= 2 * (2 + 2 + 3) + 3, "{gathers}");
        for gate in &mut gates {
            gate.channels[0].keep = gate.channels[0].fill.len();
        }
        let far = unlike(&case, &gates.iter().collect::<Vec<_>>(), 1);
        assert!(far < 1e-4, "{far} from the original with all channels kept");
    }
}
