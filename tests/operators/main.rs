//! Every operator with a rule, at its since-versions: growth keeps the outputs, pruning equals masking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod layers;
mod places;
mod single;

use common::net::Net;
use common::{Case, cpu, difference};
use snapprune::onnx::encode;
use snapprune::onnx::proto::NodeProto;
use snapprune::target::Target;

/// What must come of the width in front of the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expect {
    /// Grows and shrinks.
    Free,
    /// Shrinks only.
    Shrinks,
    /// Stays, with a reason.
    Held,
}
use Expect::{Free, Held, Shrinks};

/// Adds the operator behind `x` (1×8×6×6) and gives its output with the channels that it has.
type Build = fn(&mut Net, &str) -> (String, usize);

/// A case: name, opsets, builder, and what is expected.
type Op = (&'static str, &'static [i64], Build, Expect);

fn cases() -> Vec<Op> {
    [single::cases(), layers::cases(), places::cases()].concat()
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

#[test]
fn every_operator_follows_its_rule() {
    let mut failures = Vec::new();
    for (name, opsets, build, expect) in cases() {
        for &opset in opsets {
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
            .coupling
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
    let found = match (&first.lock, first.can_grow()) {
        (Some(lock), _) if lock.reason.is_empty() => return Err("held without a reason".into()),
        (Some(_), _) => Held,
        (None, true) => Free,
        (None, false) => Shrinks,
    };
    if found != expect {
        return Err(format!(
            "{expect:?} expected, {found:?}: {:?} {:?}",
            first.lock, first.no_growth
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
    if expect == Held {
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

#[test]
fn every_operator_of_the_registry_has_a_case() {
    let mut seen = std::collections::HashSet::new();
    for (_, opsets, build, _) in cases() {
        let graph = net(opsets[0], build).graph.unwrap_or_default();
        seen.extend(graph.node.iter().map(|n| n.op_type().to_owned()));
    }
    let missing: Vec<&str> = snapprune::channels::registered_ops()
        .filter(|op| !seen.contains(*op))
        .collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}
