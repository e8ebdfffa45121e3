//! What holds for every graph: generated graphs, random plans.
//!
//! `SNAPPRUNE_CASES=10000 cargo test --release --test properties` runs more of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::net::Net;
use common::{Case, cpu, difference};
use proptest::prelude::*;
use snapprune::channels::ClassChange;
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Attributes, encode};
use snapprune::target::Target;

/// A feature map of the generated graph.
#[derive(Clone, Debug)]
struct Map {
    name: String,
    channels: usize,
    side: usize,
}

/// A graph of `steps` random operators: residual trees, concatenations of splits, shuffles, depthwise and
/// grouped convolutions, padded shortcuts, gathers, gates, shared weights.
fn generate(seed: u64, steps: usize) -> ModelProto {
    let mut net = Net::new(13, seed);
    let image = net.input("image", &[1, 3, 8, 8]);
    let stem = net.conv(&image, 3, 8, 3, 1);
    let mut maps = vec![Map {
        name: stem,
        channels: 8,
        side: 8,
    }];
    for _ in 0..steps {
        let at = net.random.usize(maps.len().saturating_sub(3)..maps.len());
        let x = maps[at].clone();
        let (c, side) = (x.channels, x.side);
        let made = |name: String, channels: usize, side: usize| Map { name, channels, side };
        match net.random.usize(0..19) {
            0 | 1 => {
                let wide = net.random.usize(2..14);
                let name = net.conv(&x.name, c, wide, 3, 1);
                maps.push(made(name, wide, side));
            }
            2 => {
                let name = net.conv(&x.name, c, c, 3, c);
                maps.push(made(name, c, side));
            }
            3 => {
                let name = net.conv(&x.name, c, 2 * c, 3, c);
                maps.push(made(name, 2 * c, side));
            }
            4 if c % 2 == 0 => {
                let name = net.conv(&x.name, c, 6, 3, 2);
                maps.push(made(name, 6, side));
            }
            5 => {
                let op = ["Relu", "Sigmoid", "HardSwish", "Tanh", "Neg", "Abs"][net.random.usize(0..6)];
                let op = if op == "HardSwish" { "Softplus" } else { op };
                let name = net.node(op, &[&x.name], |_| {});
                maps.push(made(name, c, side));
            }
            6 | 7 => {
                let partner = maps
                    .iter()
                    .rev()
                    .find(|m| m.channels == c && m.side == side && m.name != x.name)
                    .cloned();
                let other = partner.unwrap_or_else(|| made(net.conv(&x.name, c, c, 1, 1), c, side));
                let name = net.node("Add", &[&x.name, &other.name], |_| {});
                maps.push(made(name, c, side));
            }
            8 | 9 => {
                let partner = maps
                    .iter()
                    .rev()
                    .find(|m| m.side == side && m.channels + c <= 40)
                    .cloned()
                    .unwrap_or(x.clone());
                let name = net.node("Concat", &[&x.name, &partner.name], |n| n.set_int("axis", 1));
                maps.push(made(name, c + partner.channels, side));
            }
            10 if c >= 4 => {
                let first = net.random.usize(1..c);
                let sizes = net.ints(&[first as i64, (c - first) as i64]);
                let parts = net.node_many("Split", &[&x.name, &sizes], 2, |n| n.set_int("axis", 1));
                maps.push(made(parts[0].clone(), first, side));
                maps.push(made(parts[1].clone(), c - first, side));
            }
            11 if c % 2 == 0 && c >= 4 => {
                let (half, s) = ((c / 2) as i64, side as i64);
                let (split, back) = (net.ints(&[1, 2, half, s, s]), net.ints(&[1, c as i64, s, s]));
                let r = net.node("Reshape", &[&x.name, &split], |_| {});
                let t = net.node("Transpose", &[&r], |n| n.set_ints("perm", vec![0, 2, 1, 3, 4]));
                let name = net.node("Reshape", &[&t, &back], |_| {});
                maps.push(made(name, c, side));
            }
            12 => {
                let count = net.random.usize(1..=c + 2);
                let picks: Vec<i64> = (0..count).map(|_| net.random.i64(0..c as i64)).collect();
                let indices = net.ints(&picks);
                let name = net.node("Gather", &[&x.name, &indices], |n| n.set_int("axis", 1));
                maps.push(made(name, count, side));
            }
            13 => {
                let (before, behind) = (net.random.i64(0..3), net.random.i64(0..3));
                let pads = net.ints(&[0, before, 0, 0, 0, behind, 0, 0]);
                let name = net.node("Pad", &[&x.name, &pads], |_| {});
                maps.push(made(name, c + (before + behind) as usize, side));
            }
            14 => {
                let pooled = net.node("GlobalAveragePool", &[&x.name], |_| {});
                let squeezed = net.conv(&pooled, c, 3, 1, 1);
                let relu = net.node("Relu", &[&squeezed], |_| {});
                let gate = net.conv(&relu, 3, c, 1, 1);
                let gate = net.node("Sigmoid", &[&gate], |_| {});
                let name = net.node("Mul", &[&x.name, &gate], |_| {});
                maps.push(made(name, c, side));
            }
            15 => {
                let (s, b) = (net.floats(&[c], 0.5, 1.5), net.floats(&[c], -0.5, 0.5));
                let (m, v) = (net.floats(&[c], -0.2, 0.2), net.floats(&[c], 0.5, 1.5));
                let name = net.node("BatchNormalization", &[&x.name, &s, &b, &m, &v], |_| {});
                maps.push(made(name, c, side));
            }
            16 if side >= 4 => {
                let name = net.node("MaxPool", &[&x.name], |n| {
                    n.set_ints("kernel_shape", vec![2, 2]);
                    n.set_ints("strides", vec![2, 2]);
                });
                maps.push(made(name, c, side / 2));
            }
            17 if c % 4 == 0 && side <= 4 => {
                let name = net.node("DepthToSpace", &[&x.name], |n| n.set_int("blocksize", 2));
                maps.push(made(name, c / 4, side * 2));
            }
            _ => {
                // Two layers that share weights and bias.
                let (w, b) = (net.weights(&[5, c, 1, 1]), net.floats(&[5], -0.5, 0.5));
                for _ in 0..2 {
                    let name = net.node("Conv", &[&x.name, &w, &b], |_| {});
                    maps.push(made(name, 5, side));
                }
            }
        }
    }
    for k in 0..maps.len().min(2) {
        let last = maps[maps.len() - 1 - k].clone();
        let out = net.conv(&last.name, last.channels, 3, 1, 1);
        net.output(&out);
    }
    net.model()
}

fn cases() -> u32 {
    std::env::var("SNAPPRUNE_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(300)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 60,
        ..ProptestConfig::default()
    })]

    #[test]
    fn generated_graphs_keep_their_promises(seed in any::<u64>(), steps in 1usize..14) {
        let model = generate(seed, steps);
        let case = Case::new(&model).map_err(TestCaseError::fail)?;
        let same = case.apply(&ClassChange::default()).map_err(TestCaseError::fail)?;
        prop_assert_eq!(encode(&same), encode(&model));

        let before = case.run(&model, seed).map_err(TestCaseError::fail)?;
        let plain = |m: &ModelProto| cpu().outputs_plain(&encode(m), &case.inputs(seed)).map_err(|e| TestCaseError::fail(e.to_string()));
        let grown = case.apply(&case.grow_all(0.4)).map_err(TestCaseError::fail)?;
        let after = case.run(&grown, seed).map_err(TestCaseError::fail)?;
        let growth = difference(&before, &after, &plain(&model)?);
        prop_assert!(growth.beyond_rounding < 1e-4, "growth: {:?}", growth);

        let change = case.prune_all(0.3, &mut fastrand::Rng::with_seed(seed));
        let masked = case.masked(&change.removed);
        let want = case.run(&masked, seed).map_err(TestCaseError::fail)?;
        let pruned = case.apply(&change).map_err(TestCaseError::fail)?;
        let got = case.run(&pruned, seed).map_err(TestCaseError::fail)?;
        let pruning = difference(&want, &got, &plain(&masked)?);
        prop_assert!(pruning.beyond_rounding < 1e-4, "pruning: {:?}", pruning);

        // Growing what was pruned, and both at once.
        let mut both = change.clone();
        for (class, extra) in case.grow_all(0.2).added {
            if !both.removed.contains(&class) {
                both.added.insert(class, extra);
            }
        }
        let mixed = case.apply(&both).map_err(TestCaseError::fail)?;
        let got = case.run(&mixed, seed).map_err(TestCaseError::fail)?;
        let mixing = difference(&want, &got, &plain(&masked)?);
        prop_assert!(mixing.beyond_rounding < 1e-4, "pruning and growth: {:?}", mixing);
    }

    #[test]
    fn removing_zeroed_channels_changes_nothing(seed in any::<u64>(), steps in 1usize..12) {
        let model = generate(seed, steps);
        let case = Case::new(&model).map_err(TestCaseError::fail)?;
        // Growth makes channels that are exactly zero; taking others of the template's group out of a
        // grown model must leave it as it was grown: grow, look again, remove what is removable.
        let grown = case.apply(&case.grow_all(0.5)).map_err(TestCaseError::fail)?;
        let again = Case::new(&grown).map_err(TestCaseError::fail)?;
        let graph = snapprune::onnx::Graph::new(grown.graph.as_ref().unwrap()).unwrap();
        let spare = snapprune::plan::removable(&graph, &again.analysis);
        let counts = spare.classes.iter().map(|(&g, list)| {
            let all = again.analysis.groups[g].classes.len();
            (g, all - list.len().min(all - 1))
        }).collect();
        let plan = snapprune::plan::Plan { counts, split: None };
        let (change, folds) = plan.change(&again.analysis, &spare);
        let shrunk = snapprune::rewrite::rewrite(&grown, &graph, &again.analysis, &change, &folds)
            .map_err(|e| TestCaseError::fail(e.to_string()))?;
        let before = case.run(&model, seed).map_err(TestCaseError::fail)?;
        let plain = cpu().outputs_plain(&encode(&model), &case.inputs(seed)).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let after = case.run(&shrunk, seed).map_err(TestCaseError::fail)?;
        let removal = difference(&before, &after, &plain);
        prop_assert!(removal.beyond_rounding < 1e-4, "removal: {:?}", removal);
        let added: u32 = case.grow_all(0.5).added.values().sum();
        prop_assert!(added == 0 || !change.removed.is_empty(), "nothing of what was grown was found removable");
    }
}
