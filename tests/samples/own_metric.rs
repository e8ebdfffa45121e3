//! A metric of the user's own decides, and ends the job where it fails.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{narrowed, noise, opened, scaling, with_open, written};
use crate::common::command::{model, python, snapprune};
use crate::common::net::Net;
use snapprune::data::Scaling;
use snapprune::device::{Limit, Stop};
use snapprune::optimize::{Goals, Options, SampleSource};
use snapprune::report::{Listed, outcome_text};
use snapprune::verify::{ScoreRequest, UserMetric};
use snapprune::{Error, Result};

/// How near all outputs are to the original's: 1 less their mean squared difference over the original's mean square.
#[derive(Debug, Default)]
struct Nearness {
    asked: AtomicUsize,
    /// Whether it fails once a narrower model is asked for.
    fails: bool,
}

fn values(folder: &Path) -> Vec<f32> {
    let bytes = std::fs::read(folder.join("0.bin")).unwrap();
    bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

impl UserMetric for Nearness {
    fn name(&self) -> &str {
        "nearness"
    }

    fn prepare(&self, _: &Stop) -> Result<()> {
        Ok(())
    }

    fn score(&self, asked: &ScoreRequest, _: &Limit) -> Result<f64> {
        if self.asked.fetch_add(1, Ordering::Relaxed) > 0 && self.fails {
            return Err(Error::Usage("no more".to_owned()));
        }
        let (own, original) = (values(&asked.outputs), values(&asked.original));
        // A search sees one half of the samples, and what it found is judged on the other.
        assert_eq!((own.len(), original.len()), (20 * 6 * 8 * 8, 20 * 6 * 8 * 8));
        let square = |v: f32| f64::from(v) * f64::from(v);
        let off: f64 = own.iter().zip(&original).map(|(a, b)| square(a - b)).sum();
        Ok(1.0 - off / original.iter().map(|&v| square(v)).sum::<f64>())
    }
}

/// The main job on a small network of maps, by a metric.
fn judged(metric: Arc<dyn UserMetric>, allowed: f64) -> Result<snapprune::optimize::Outcome> {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 6);
    let x = net.input("x", &[1, 3, 8, 8]);
    let mut y = net.conv(&x, 3, 32, 3, 1);
    for cout in [32, 6] {
        y = net.node("Relu", &[&y], |_| {});
        y = net.conv(&y, 32, cout, 3, 1);
    }
    net.output(&y);
    let opened = opened(folder.path(), &with_open(net.model(), 0, "N"));
    let samples = |name, seed| {
        let path = written(folder.path(), name, &noise(&[40, 3, 8, 8], seed));
        SampleSource::new(path, Scaling::default())
    };
    let options = Options {
        calib: Some(samples("calib.npz", 3)),
        eval: Some(samples("eval.npz", 4)),
        metric: Some(metric),
        min_width: 1,
        goals: Goals {
            max_drop: Some(allowed),
            ..Goals::default()
        },
        ..Options::default()
    };
    narrowed(opened, &options)
}

#[test]
fn what_may_be_lost_is_counted_by_a_metric_of_the_users_own() {
    let metric = Arc::new(Nearness::default());
    let outcome = judged(metric.clone(), 0.1).unwrap();
    assert!(outcome.model.is_some(), "{:?}", outcome.declined);
    let scores = outcome.metric.clone().unwrap();
    assert_eq!((scores.name.as_str(), scores.original), ("nearness", 1.0));
    assert!(scores.drop() > 0.0 && scores.drop() <= 0.1, "{scores:?}");
    assert!(metric.asked.load(Ordering::Relaxed) > 3);
    assert!(!outcome.notes.iter().any(|n| n.contains("for both models")), "it moves");
    let text = outcome_text(&outcome, Listed::Changed);
    assert!(text.contains("metric    nearness 1.0000 → 0.9"), "{text}");
    let failing = Arc::new(Nearness {
        fails: true,
        ..Nearness::default()
    });
    assert!(judged(failing, 0.1).unwrap_err().to_string().contains("no more"));
}

/// A number that depends on nothing.
#[derive(Debug)]
struct Constant;

impl UserMetric for Constant {
    fn name(&self) -> &str {
        "constant"
    }

    fn prepare(&self, _: &Stop) -> Result<()> {
        Ok(())
    }

    fn score(&self, _: &ScoreRequest, _: &Limit) -> Result<f64> {
        Ok(0.25)
    }
}

#[test]
fn a_metric_that_does_not_move_is_told() {
    let outcome = judged(Arc::new(Constant), 0.1).unwrap();
    assert!(outcome.model.is_some(), "{:?}", outcome.declined);
    let told = outcome
        .notes
        .iter()
        .filter(|n| n.contains("the metric constant gives 0.25 for both models"));
    assert_eq!(told.count(), 1, "{:?}", outcome.notes);
}

#[test]
fn a_python_function_judges_what_models_give_for_samples() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.py");
    let code = r#"
import helper

def accuracy(outputs, labels, images, original=None):
    print("heard")
    (classes,) = outputs.values()
    assert classes.shape == original[next(iter(outputs))].shape and len(images) == len(labels)
    return helper.share(classes.argmax(1) == labels)

def nothing(outputs):
    pass

def not_a_number(outputs, **more):
    return float("nan") if set(more) == {"labels", "images", "original"} else 1.0

def ends(outputs):
    import os
    os._exit(5)
"#;
    std::fs::write(&file, code).unwrap();
    std::fs::write(folder.path().join("helper.py"), "def share(right): return right.mean()").unwrap();
    // What lies in the current folder is not run.
    let here = folder.path().join("here");
    std::fs::create_dir(&here).unwrap();
    std::fs::write(here.join("json.py"), "raise RuntimeError('planted')").unwrap();
    let scale = scaling();
    let judged = |function: &str| {
        let mut command = snapprune();
        command.env("SNAPPRUNE_PYTHON", python());
        let file = format!("{}:{function}", file.display());
        let scaled = [format!("--mean={}", scale.mean[0]), format!("--std={}", scale.std[0])];
        let bench = [
            "bench",
            "--cpu",
            "--threads",
            "1",
            "--seconds",
            "0.05",
            "--json",
            "--eval",
        ];
        command.args(bench).arg(model("shapes96_eval.npz")).args(scaled);
        let library = std::fs::canonicalize(&crate::common::runtime().library).unwrap();
        command.current_dir(&here).env("ORT_DYLIB_PATH", library);
        command
            .args(["--metric", &file])
            .arg(model("shapes96.onnx"))
            .output()
            .unwrap()
    };
    let done = judged("accuracy");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {said}"));
    let row = &report["models"][0];
    assert!(row["metric"].as_f64().unwrap() > 0.5, "{row}");
    assert!(
        (row["metric"].as_f64().unwrap() - row["top1"].as_f64().unwrap()).abs() < 1e-9,
        "{row}"
    );
    assert!(said.contains("heard"), "{said}");
    for (function, why) in [
        ("nothing", "nothing gave None"),
        ("not_a_number", "not_a_number gave nan"),
        ("ends", "ended its Python process"),
        ("missing", "has no function missing"),
    ] {
        let done = judged(function);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains(why) && said.contains("own.py"), "{said}");
    }
}
