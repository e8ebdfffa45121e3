//! Plans for recorded devices are those of `fixtures/plans`. `SNAPPRUNE_UPDATE=1` writes them anew.
//!
//! Nothing is timed: the times are those of `fixtures/profiles`, so that the same comes out on every machine. The networks of the GPU
//! profiles are built here, at widths that waste something; their inputs are smaller than the recorded ones, and the copies of the
//! profiles that they are planned with say so, too. Planning reads no more of a problem than whether it is known.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use common::command::{model, snapprune};
use common::networks::{Variant, network};
use common::priced::{Priced, Silent, known_prices};
use common::stored::{Plans, check, fixtures, read, read_curve};
use common::{runtime, zoo_model};
use serde_json::Value;
use snapprune::device::ShapeOptions;
use snapprune::onnx::encode;
use snapprune::optimize::{Amount, Goals, Growth, Options, Workload, open, optimize, pareto};
use snapprune::plan::{Metric, PerMetric};
use snapprune::report::outcome_json;

/// The report on a model for the device of a profile, without gates and pictures.
fn report(folder: &Path, model: &Path, profile: &Path, flags: &[&str]) -> Value {
    let mut command = snapprune();
    command.arg(model).arg("--profile").arg(profile).args(flags);
    command.args(["--json", "--no-dynamic", "--staircases", "0s", "-o"]);
    command
        .arg(folder.join("out.onnx"))
        .arg("--db")
        .arg(folder.join("l.db"));
    let output = command.output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

/// A profile as if it had been recorded for one input whose height and width are smaller by `scale`, on a device that is nowhere.
fn smaller(profile: &Path, scale: usize, to: &Path) {
    let mut profile: Value = serde_json::from_str(&std::fs::read_to_string(profile).unwrap()).unwrap();
    profile["device"]["fingerprint"] = "0000000000000000".into();
    for record in profile["records"].as_array_mut().unwrap() {
        let problem = &mut record["problem"];
        problem["batch"] = 1.into();
        for extent in problem["space"].as_array_mut().unwrap() {
            *extent = (extent.as_u64().unwrap() / scale as u64).into();
        }
    }
    std::fs::write(to, serde_json::to_string(&profile).unwrap()).unwrap();
}

/// Checks the plans for the profiles of one network and element type, at widths that waste something.
fn of_gpus(part: &str, half: bool) {
    let stems = std::fs::read_dir(fixtures("profiles"))
        .unwrap()
        .map(|f| f.unwrap().path());
    let stems = stems.map(|p| p.file_stem().unwrap().to_str().unwrap().to_owned());
    let wanted = |s: &String| !s.starts_with("cpu") && s.contains(part) && s.contains("f16") == half;
    let mut all: BTreeMap<String, Plans> = stems.filter(wanted).map(|s| (s, Plans::new())).collect();
    assert!(!all.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let (net, profile) = (folder.path().join("net.onnx"), folder.path().join("profile.json"));
    for (case, share, dead) in [("narrower", (27, 32), false), ("dead channels", (1, 1), true)] {
        let (proto, scale) = network(part, Variant { share, dead, half });
        std::fs::write(&net, encode(&proto)).unwrap();
        for (stem, plans) in &mut all {
            smaller(&fixtures("profiles").join(format!("{stem}.json")), scale, &profile);
            plans.insert(case.to_owned(), read(&report(folder.path(), &net, &profile, &[])));
        }
    }
    all.iter().for_each(|(stem, plans)| check(stem, plans));
}

#[test]
fn plans_for_resnet18_on_a_gpu_are_as_stored() {
    of_gpus("resnet18", false);
    of_gpus("resnet18", true);
}

#[test]
fn plans_for_resnet50_on_a_gpu_are_as_stored() {
    of_gpus("resnet50", false);
    of_gpus("resnet50", true);
}

#[test]
fn plans_for_mobilenet_v2_on_a_gpu_are_as_stored() {
    of_gpus("mobilenet_v2", false);
    of_gpus("mobilenet_v2", true);
}

#[test]
fn plans_for_squeezenet_on_a_gpu_are_as_stored() {
    of_gpus("squeezenet", false);
}

#[test]
fn plans_for_single_layers_on_a_gpu_are_as_stored() {
    of_gpus("conv256", false);
}

/// The plans for a CPU's profile of a model, with flags that change them.
fn of_cpu(stem: &str, model: &Path) -> Plans {
    let folder = tempfile::tempdir().unwrap();
    let profile = fixtures("profiles").join(format!("{stem}.json"));
    let plan = |flags: &[&str]| read(&report(folder.path(), model, &profile, flags));
    let all = plan(&[]);
    let first = all.widths.keys().next().unwrap();
    let layer = first.split(' ').next().unwrap();
    Plans::from([
        ("one layer kept".to_owned(), plan(&["--keep", layer])),
        ("without growth".to_owned(), plan(&["--grow", "none"])),
        ("shared by new channels".to_owned(), plan(&["--grow-init", "split"])),
        ("all".to_owned(), all),
    ])
}

#[test]
fn plans_for_a_small_classifier_on_a_cpu_are_as_stored() {
    let stem = "cpu_shapes96_misaligned";
    check(stem, &of_cpu(stem, &model("shapes96_misaligned.onnx")));
}

#[test]
fn plans_for_shufflenet_on_a_cpu_are_as_stored() {
    if let Some(model) = zoo_model("shufflenet_v2_x1_0") {
        let stem = "cpu_shufflenet_v2_x1_0";
        check(stem, &of_cpu(stem, &model));
    }
}

/// Goals need a device: one whose times follow from a formula.
fn at_price(model: &Path) -> Plans {
    let opened = open(model, &runtime(), &ShapeOptions::default()).unwrap();
    let workloads = [Workload { opened, weight: 1.0 }];
    let times = |share: f64| Some(Amount::Times(share));
    let goals = |latency, macs, params| Options {
        goals: Goals {
            limits: PerMetric::from_fn(|metric| match metric {
                Metric::Latency => latency,
                Metric::Macs => macs,
                Metric::Params => params,
                Metric::Memory => None,
            }),
            max_drop: None,
        },
        ..options()
    };
    let plan = |options: &Options| {
        let outcome = optimize(&workloads, &Priced::new(), known_prices(), options, &Silent).unwrap();
        read(&outcome_json("model", &workloads, &outcome))
    };
    let growth = |growth| Options { growth, ..options() };
    let curve = pareto(
        &workloads,
        &Priced::new(),
        known_prices().database,
        &goals(times(1.0), None, None),
        0,
        &Silent,
    )
    .unwrap();
    Plans::from([
        ("latency 0.8x".to_owned(), plan(&goals(times(0.8), None, None))),
        ("latency 0.9x".to_owned(), plan(&goals(times(0.9), None, None))),
        ("macs 0.7x".to_owned(), plan(&goals(None, times(0.7), None))),
        ("parameters 0.8x".to_owned(), plan(&goals(None, None, times(0.8)))),
        (
            "all three".to_owned(),
            plan(&goals(times(0.85), times(0.85), times(0.8))),
        ),
        ("no loss".to_owned(), plan(&growth(Growth::Faster))),
        ("room for training".to_owned(), plan(&growth(Growth::Free))),
        ("curve".to_owned(), read_curve(&serde_json::to_value(&curve).unwrap())),
    ])
}

fn options() -> Options {
    Options {
        latency_steps: Duration::ZERO,
        min_width: 1,
        ..Options::default()
    }
}

#[test]
fn plans_for_goals_are_as_stored() {
    check(
        "goals_shapes96_misaligned",
        &at_price(&model("shapes96_misaligned.onnx")),
    );
}

#[test]
fn plans_for_the_goals_of_a_residual_network_are_as_stored() {
    if let Some(model) = zoo_model("resnet20_cifar10") {
        check("goals_resnet20_cifar10", &at_price(&model));
    }
}

/// A profile without plans would be tested by nothing.
#[test]
fn every_recorded_profile_has_stored_plans() {
    if std::env::var_os("SNAPPRUNE_UPDATE").is_some() {
        return;
    }
    for file in std::fs::read_dir(fixtures("profiles")).unwrap() {
        let name = file.unwrap().file_name();
        assert!(
            fixtures("plans").join(&name).is_file(),
            "no plans are stored for {name:?}"
        );
    }
}
