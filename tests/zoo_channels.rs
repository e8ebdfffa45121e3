//! Every real model: what is free, growth by zero-padding, and pruning against a masked model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use common::{Case, difference, runtime, zoo};
use snapprune::channels::ChannelChange;
use snapprune::device::{CpuDevice, Executor};
use snapprune::onnx::encode;

/// The least share of multiply-accumulates in layers with a free width.
fn least_free_share(stem: &str) -> f64 {
    match stem {
        "fns_candy" => 0.8,
        "detector_c2f" | "shufflenet_v2_x1_0" | "regnet_x_400mf" | "googlenet" | "efficientnet_b0"
        | "mobilenet_v3_small" | "resnet18" | "squeezenet1_1" | "mobilenet_v2" => 0.95,
        _ => 0.85,
    }
}

#[test]
fn real_models_grow_and_shrink_as_they_should() {
    println!("| model | groups | free | MACs free | growth | pruned against masked |\n|---|---|---|---|---|---|");
    for path in zoo() {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let case = Case::open(&path);
        let device = CpuDevice::new(runtime(), 1);
        let share = case.analysis.free_share();
        assert!(share >= least_free_share(&stem), "{stem}: {share}");

        let before = case.run(&case.proto, 1).unwrap();
        let plain = device.outputs_plain(&encode(&case.proto), &case.inputs(1)).unwrap();
        let grown = case.apply(&case.grow_all(0.15)).unwrap();
        let growth = difference(&before, &case.run(&grown, 1).unwrap(), &plain);
        assert!(
            growth.beyond_rounding <= 1e-4,
            "{stem}: growth changes the outputs by {growth:?}"
        );

        let mut random = fastrand::Rng::with_seed(5);
        let change = case.prune_all(0.2, &mut random);
        assert!(!change.removed.is_empty(), "{stem}");
        let masked = case.masked(&change.removed);
        let pruned = case.apply(&change).unwrap();
        let want = case.run(&masked, 1).unwrap();
        let rounding = device.outputs_plain(&encode(&masked), &case.inputs(1)).unwrap();
        let pruning = difference(&want, &case.run(&pruned, 1).unwrap(), &rounding);
        assert!(
            pruning.beyond_rounding <= 1e-4,
            "{stem}: the pruned model differs from its masked model by {pruning:?}"
        );
        let effect = difference(&before, &want, &plain);
        assert!(
            effect.beyond_rounding > 1e-3,
            "{stem}: the mask changes nothing, so this compares nothing"
        );

        let free = case.analysis.groups.iter().filter(|g| g.constraint.is_none()).count();
        println!(
            "| {stem} | {} | {free} | {:.1} % | {:.0e} | {:.0e} |",
            case.analysis.groups.len(),
            100.0 * share,
            growth.raw,
            pruning.raw
        );
    }
}

#[test]
fn the_empty_plan_changes_nothing() {
    for path in zoo() {
        let case = Case::open(&path);
        let same = case.apply(&ChannelChange::default()).unwrap();
        assert_eq!(encode(&same), encode(&case.proto), "{}", path.display());
    }
}
