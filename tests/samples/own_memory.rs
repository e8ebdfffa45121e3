//! A device with a memory of its own, where loading takes longer than runs, is told the same by other ways: losses of models that differ in
//! weights only, parts that stay loaded, two networks at a time.

use std::path::Path;

use super::macs;
use crate::common::command::model;
use crate::common::priced::{Priced, Silent, known_prices, roomy};
use crate::common::{runtime, shared};
use snapprune::data::Scaling;
use snapprune::device::ShapeOptions;
use snapprune::optimize::{Options, Outcome, SampleSource, WhenSlower, Workload, open, optimize};

fn narrowed(path: &Path, device: &Priced, options: Options) -> Outcome {
    let opened = open(path, &runtime(), &ShapeOptions::default()).unwrap();
    let workloads = [Workload { opened, weight: 1.0 }];
    let options = Options {
        when_slower: WhenSlower::Write,
        ..options
    };
    optimize(&workloads, device, known_prices(), &options, &Silent).unwrap()
}

fn both_are_told_the_same(path: &Path, options: &Options) {
    let [plain, own] = [Priced::new(), roomy()].map(|device| narrowed(path, &device, options.clone()));
    let losses = |o: &Outcome| o.curve.iter().map(|row| row.loss).collect::<Vec<f64>>();
    let (a, b) = (losses(&plain), losses(&own));
    assert!(a.len() >= 10, "{a:?}");
    // Rounding decides which of two points that lose the same is on the curve.
    let near = |a: &&f64| b.iter().any(|b| (*a - b).abs() <= 1e-4 * a.abs() + 1e-9);
    assert!(
        a.iter().filter(near).count() * 10 >= a.len() * 9,
        "{path:?}: {a:?} {b:?}"
    );
    let held_out = |o: &Outcome| o.calibration.as_ref().unwrap().held_out_loss.unwrap();
    assert!((held_out(&own) / held_out(&plain) - 1.0).abs() < 0.02, "{path:?}");
    assert!(plain.model.is_some() && own.model.is_some());
}

#[test]
fn losses_and_plans_are_those_of_a_device_without() {
    for name in ["shapes96.onnx", "shapes96_misaligned.onnx"] {
        both_are_told_the_same(&model(name), &macs(0.7));
    }
}

#[test]
fn the_same_holds_behind_normalizations_and_in_residual_streams() {
    let Some(shared) = shared() else { return };
    let calib = SampleSource::new(shared.join("data/cifar10/calib.npz"), Scaling::default());
    let options = Options {
        calib: Some(calib.at_most(64)),
        ..macs(0.7)
    };
    both_are_told_the_same(&shared.join("models/trained/resnet20_cifar10_bn.onnx"), &options);
}
