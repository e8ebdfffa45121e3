//! Accuracy on real images.

use crate::common::command::{model, snapprune};
use crate::common::recorded::profile as recorded;
use crate::common::{cpu, runtime, shared};
use serde_json::Value;
use snapprune::data::{Dataset, Scaling};
use snapprune::device::ShapeOptions;
use snapprune::optimize::open;
use snapprune::verify::{classes, compare_task};

#[test]
fn the_cifar_models_have_their_published_accuracy_on_real_images() {
    let Some(shared) = shared() else {
        return;
    };
    let scaling = Scaling {
        mean: vec![0.485, 0.456, 0.406],
        std: vec![0.229, 0.224, 0.225],
    };
    let path = shared.join("models/trained/resnet20_cifar10.onnx");
    let opened = open(&path, &runtime(), &ShapeOptions::default()).unwrap();
    let data = Dataset::read(&shared.join("data/cifar10/eval.npz"), &opened.specs, &scaling).unwrap();
    let model = std::fs::read(&path).unwrap();
    let found = classes(&cpu(), &model, &data, &|_, _| {}).unwrap();
    assert_eq!(found.best.len(), 5000);
    let top1 = found.right.unwrap().0 as f64 / 5000.0;
    assert!((top1 - 0.9128).abs() < 0.001, "{top1}");
    let told = std::cell::RefCell::new(Vec::new());
    let tell = |done, total| told.borrow_mut().push((done, total));
    let data = data.at_most(500);
    let same = compare_task(&cpu(), [&model, &model], &data, None, &tell)
        .unwrap()
        .unwrap();
    let told = told.into_inner();
    assert!(
        told.is_sorted() && told.last().is_some_and(|(done, total)| done == total),
        "{told:?}"
    );
    let (before, after) = same.task.top1.unwrap();
    assert_eq!((same.task.agreement, before), (1.0, after));
    assert!((before - top1).abs() < 0.05, "{before}");
}

#[test]
fn the_main_job_and_bench_report_accuracy() {
    let folder = tempfile::tempdir().unwrap();
    let eval = ["--eval", "models/shapes96_eval.npz", "--mean", "0.5", "--std", "0.5"];
    // On a recorded device, so that there is a faster model.
    let profile = recorded(folder.path());
    let done = snapprune()
        .arg(model("shapes96_misaligned.onnx"))
        .args(["--json", "-o"])
        .arg(folder.path().join("out.onnx"))
        .arg("--profile")
        .arg(profile)
        .args(eval)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let verify = &report["verify"];
    assert_eq!(
        (&verify["agreement"], &verify["samples"]),
        (&Value::from(1.0), &Value::from(150))
    );
    // Channels were cut from this model without any care; growing it back changes no class.
    assert!(verify["top1"]["static"].as_f64() > Some(0.0), "{verify:#}");
    assert_eq!(verify["top1"]["static"], verify["top1"]["original"]);
    let done = snapprune()
        .args([
            "bench",
            "models/shapes96.onnx",
            "--cpu",
            "--threads",
            "1",
            "--seconds",
            "0.1",
            "--json",
        ])
        .args(eval)
        .output()
        .unwrap();
    let bench: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(bench["models"][0]["top1"].as_f64() > Some(0.9), "{bench:#}");
}
