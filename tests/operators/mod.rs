//! Every operator with a rule, at its since-versions: growth keeps the outputs, pruning equals masking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod blocks;
mod ends;
mod layers;
mod norms;
mod places;
mod quantized;
mod reductions;
mod single;

use crate::common;
use common::net::Net;
use common::{Case, cpu, difference};
use snapprune::device::Executor;
use snapprune::onnx::proto::NodeProto;
use snapprune::onnx::{Attributes, encode};

/// What must come of the width in front of the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expect {
    /// Grows and shrinks.
    Free,
    /// Shrinks only.
    Shrinks,
    /// Grows only, at the end.
    GrowsAtEnd,
    /// Stays, with a reason.
    Fixed,
}
use Expect::{Fixed, Free, GrowsAtEnd, Shrinks};

/// Adds the operator behind `x` (1×8×6×6) and gives its output with the channels that it has.
type Build = fn(&mut Net, &str) -> (String, usize);

/// A case: name, opsets, builder, and what is expected.
type Op = (&'static str, &'static [i64], Build, Expect);

fn cases() -> Vec<Op> {
    [
        single::cases(),
        layers::cases(),
        norms::cases(),
        reductions::cases(),
        blocks::cases(),
        ends::cases(),
        places::cases(),
    ]
    .concat()
}

fn none(_: &mut NodeProto) {}

fn net(opset: i64, build: Build) -> snapprune::onnx::proto::ModelProto {
    let mut net = Net::new(opset, 3);
    let image = net.input("image", &[1, 3, 6, 6]);
    let x = net.conv(&image, 3, 8, 3, 1);
    let (y, channels) = build(&mut net, &x);
    let out = net.conv(&y, channels, 4, 1, 1);
    net.output(&out);
    let mut model = net.model();
    if model
        .graph
        .as_ref()
        .is_some_and(|g| g.node.iter().any(|n| n.domain() == "com.microsoft"))
    {
        model.opset_import.push(snapprune::onnx::proto::OperatorSetIdProto {
            domain: Some("com.microsoft".into()),
            version: Some(1),
        });
    }
    model
}

/// What ONNX Runtime 1.23, the oldest that is tested, does not run: an opset that was not out, and kernels that were missing.
const NOT_WITH_THE_OLDEST: [(&str, i64); 3] = [("Swish", 24), ("LpNormalization", 22), ("DeformConv", 19)];

#[test]
fn every_operator_follows_its_rule() {
    let oldest = common::runtime().version.starts_with("1.23.");
    let mut failures = Vec::new();
    for (name, opsets, build, expect) in cases() {
        for &opset in opsets {
            if oldest && NOT_WITH_THE_OLDEST.contains(&(name, opset)) {
                continue;
            }
            if let Err(what) = check(opset, build, expect) {
                failures.push(format!("{name} at opset {opset}: {what}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// `SNAPPRUNE_SEEDS=DIR` has the cases written there for the fuzz target `inspect`: sixteen bytes that draw a plan, and the model
/// with the shapes of all its values.
#[test]
fn cases_are_seeds() {
    let Some(folder) = std::env::var_os("SNAPPRUNE_SEEDS").map(std::path::PathBuf::from) else {
        return;
    };
    for (k, (name, opsets, build, _)) in cases().into_iter().enumerate() {
        let case = Case::new(&net(opsets[0], build)).unwrap();
        let mut model = case.proto.clone();
        let noted = model.graph.as_mut().unwrap();
        for value in case
            .analysis
            .dependencies
            .values
            .iter()
            .filter(|v| v.constant_use.is_none())
        {
            if let Some(dims) = &value.dims {
                noted.value_info.push(common::net::value_info(&value.name, dims));
            }
        }
        let drawn: Vec<u8> = (0..16).map(|i| (k * 31 + i * 17) as u8).collect();
        let file = folder.join(name.replace(|c: char| !c.is_alphanumeric(), "_"));
        std::fs::write(file, [drawn, encode(&model)].concat()).unwrap();
    }
}

fn check(opset: i64, build: Build, expect: Expect) -> Result<(), String> {
    let case = Case::new(&net(opset, build))?;
    let first = case.analysis.groups.iter().find(|g| g.producers.first() == Some(&0));
    let first = first.ok_or("no group for the first layer")?;
    let found = match (&first.constraint, first.can_grow()) {
        (Some(constraint), _) if constraint.reason.is_empty() => return Err("held without a reason".into()),
        (Some(_), true) => GrowsAtEnd,
        (Some(_), false) => Fixed,
        (None, true) => Free,
        (None, false) => Shrinks,
    };
    if found != expect {
        return Err(format!(
            "{expect:?} expected, {found:?}: {:?} {:?}",
            first.constraint, first.no_growth
        ));
    }
    let before = case.run(&case.proto, 2)?;
    let plain = cpu()
        .outputs_plain(&encode(&case.proto), &case.inputs(2))
        .map_err(|e| e.to_string())?;
    let grown = case.run(&case.apply(&case.grow_all(0.3))?, 2)?;
    let growth = difference(&before, &grown, &plain);
    if growth.beyond_rounding > 1e-5 {
        return Err(format!("growth changes the outputs: {growth:?}"));
    }
    if matches!(expect, Fixed | GrowsAtEnd) {
        return Ok(());
    }
    for seed in 0..3 {
        let change = case.prune_all(0.3, &mut fastrand::Rng::with_seed(seed));
        let masked = case.masked(&change.removed);
        let want = case.run(&masked, 2)?;
        let rounding = cpu()
            .outputs_plain(&encode(&masked), &case.inputs(2))
            .map_err(|e| e.to_string())?;
        let pruned = case.run(&case.apply(&change)?, 2)?;
        let pruning = difference(&want, &pruned, &rounding);
        if pruning.beyond_rounding > 1e-5 {
            return Err(format!("pruning differs from masking: {pruning:?}"));
        }
    }
    Ok(())
}

/// Two parts of a split, of which only the first loses channels: `sizes` are the parts before, `how` what tells them.
fn split_unequally(opset: i64, sizes: [usize; 2], how: &str) {
    let mut net = Net::new(opset, 3);
    let image = net.input("image", &[1, 3, 6, 6]);
    let x = net.conv(&image, 3, sizes[0] + sizes[1], 3, 1);
    let told: Vec<i64> = sizes.iter().map(|&n| n as i64).collect();
    let mut inputs = vec![x];
    if how == "input" {
        inputs.push(net.ints(&told));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let parts = net.node_many("Split", &inputs, 2, |n| {
        n.set_int("axis", 1);
        match how {
            "attribute" => n.set_ints("split", told),
            "num_outputs" => n.set_int("num_outputs", 2),
            _ => {}
        }
    });
    for (part, size) in parts.iter().zip(sizes) {
        let out = net.conv(part, size, 4, 1, 1);
        net.output(&out);
    }
    let name = format!("opset {opset}, {sizes:?} by {how}");
    let case = Case::new(&net.model()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let first = case
        .analysis
        .groups
        .iter()
        .find(|g| g.producers.first() == Some(&0))
        .unwrap();
    assert_eq!(first.classes.len(), sizes[0], "{name}");
    for gone in [1, 2, sizes[0] - 1] {
        let mut change = snapprune::channels::ChannelChange::default();
        change.removed.extend(&first.classes[..gone]);
        let mut masked = case.masked(&change.removed);
        // The masks need a newer product; convolutions and splits are the same.
        masked.opset_import[0].version = Some(opset.max(7));
        let want = case.run(&masked, 2).unwrap();
        let pruned = case.apply(&change).unwrap();
        let got = case
            .run(&pruned, 2)
            .unwrap_or_else(|e| panic!("{name}, {gone} gone: {e}"));
        assert!(difference(&want, &got, &want).raw < 1e-5, "{name}");
        // What ONNX Runtime tolerates the standard may not.
        let split = pruned
            .graph
            .as_ref()
            .unwrap()
            .node
            .iter()
            .find(|n| n.op_type() == "Split")
            .unwrap();
        assert!(opset >= 13 || split.input.len() == 1, "{name}: {:?}", split.input);
        assert!(opset < 13 || split.attr("split").is_none(), "{name}");
    }
}

#[test]
fn a_split_of_any_version_may_lose_channels_of_one_part() {
    // The masked model of opset 2 multiplies as ONNX Runtime 1.23 cannot.
    let oldest = common::runtime().version.starts_with("1.23.");
    for opset in [2, 7, 11, 12].into_iter().filter(|&o| o > 2 || !oldest) {
        split_unequally(opset, [6, 6], "nothing");
        split_unequally(opset, [6, 6], "attribute");
        split_unequally(opset, [5, 7], "attribute");
    }
    for opset in [13, 17] {
        split_unequally(opset, [6, 6], "nothing");
        split_unequally(opset, [6, 6], "input");
        split_unequally(opset, [5, 7], "input");
    }
    split_unequally(18, [5, 7], "input");
    split_unequally(18, [6, 6], "num_outputs");
    // The last part takes what is left.
    split_unequally(18, [6, 5], "num_outputs");
}

#[test]
fn every_operator_of_the_registry_has_a_case() {
    let mut seen = std::collections::HashSet::new();
    for (_, opsets, build, _) in cases() {
        let graph = net(opsets[0], build).graph.unwrap_or_default();
        seen.extend(graph.node.iter().map(|n| n.op_type().to_owned()));
    }
    seen.extend(quantized::operators());
    let missing: Vec<&str> = snapprune::channels::registered_ops()
        .filter(|op| !seen.contains(*op))
        .collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}
