//! What evaluation samples decide of gates.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ndarray::Array4;
use ndarray_npy::NpzWriter;

use super::{Bent, job, scaling};
use crate::common::command::{model, python};
use crate::common::priced::Silent;
use crate::common::runtime;
use crate::common::small::small;
use snapprune::Result;
use snapprune::data::Scaling;
use snapprune::device::{Limit, ShapeOptions, Stop};
use snapprune::onnx::proto::ModelProto;
use snapprune::optimize::{Dynamic, Dynamics, Known, Mode, Options, SampleSource, Workload, open, optimize};
use snapprune::report::{Listed, outcome_json, outcome_text};
use snapprune::verify::{ScoreRequest, UserMetric};

/// So many scenes of a seed as a file.
fn scenes(folder: &Path, name: &str, count: usize, seed: usize) -> PathBuf {
    let path = folder.join(name);
    let mut command = Command::new(python());
    command.arg(model("scenes.py")).arg(&path);
    let done = command.args([count.to_string(), seed.to_string()]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    path
}

fn tiles(most_drop: f64) -> Dynamics {
    Dynamics {
        mode: Mode::Tiles,
        most_drop,
        ..Dynamics::default()
    }
}

#[test]
fn evaluation_samples_decide_on_gates() {
    let folder = tempfile::tempdir().unwrap();
    let (calib, eval) = (
        scenes(folder.path(), "calib.npz", 60, 3),
        scenes(folder.path(), "eval.npz", 40, 2),
    );
    let options = Options {
        calib: Some(SampleSource::new(calib, scaling())),
        eval: Some(SampleSource::new(eval, scaling())),
        dynamics: Some(tiles(0.1)),
        ..Options::default()
    };
    let on = |swayed: fn(usize) -> bool| {
        let device = move |original: &ModelProto| Bent {
            flat: Some(1.0),
            swayed,
            ..Bent::new(original)
        };
        job("scenes96.onnx", &device, &options)
    };
    let (workloads, outcome) = on(|_| false);
    let good = outcome.dynamic.as_ref().unwrap();
    assert!(good.model.is_some(), "{:?}", good.declined);
    // Searched on one half, judged on the other; the numbers are those of both.
    let drop = good.eval_drop.unwrap();
    assert!(drop.value <= 0.1 && drop.samples == 20 && drop.searched_on.is_some());
    let interval = drop.interval.unwrap();
    assert!(interval.low <= drop.value && drop.value <= interval.high);
    assert_eq!(good.task.as_ref().unwrap().samples, 40);
    let report = outcome_json("model", &workloads, &outcome);
    assert_eq!(report["dynamic"]["eval_drop"]["samples"], 20);
    assert_eq!(report["verify"]["samples"], 40);
    assert_eq!(
        report["verify"]["accuracy_drop_dynamic"]["high"].as_f64(),
        Some(interval.high)
    );
    let text = outcome_text(&outcome, Listed::Changed);
    assert!(
        text.contains("on 20 samples for evaluation that gates were not searched on"),
        "{text}"
    );
    assert!(text.contains("cannot tell a drop of 10.00 %"), "{text}");
    // On calibration samples the same gates look as good; on those that decide they do not.
    let bad = on(|run| run > 0).1.dynamic.unwrap();
    assert!(bad.model.is_none() && bad.held_out_drop.unwrap() <= 0.1);
    let why = bad.declined.unwrap().to_string();
    assert!(
        why.contains("samples for evaluation") && why.contains("95 % confidence"),
        "{why}"
    );
    // What only the half that was searched on allows makes way for a more careful choice, or for none.
    let careful = on(|run| run == 1).1.dynamic.unwrap();
    assert!(careful.model.is_some(), "{:?}", careful.declined);
    let notes = careful.notes.join("\n");
    assert!(
        notes.contains("a bolder choice of gates lost 0.00 %")
            || notes.contains("a bolder choice of gates lost 5.00 %"),
        "{notes}"
    );
}

/// So many images of different colours for the small network.
fn images(folder: &Path, count: usize, seed: u64) -> PathBuf {
    let mut random = fastrand::Rng::with_seed(seed);
    let colours: Vec<f32> = (0..count * 3).map(|_| 4.0 * random.f32() - 2.0).collect();
    let images = Array4::from_shape_fn((count, 3, 32, 32), |(n, c, _, _)| colours[3 * n + c] + random.f32());
    let path = folder.join(format!("images{seed}.npz"));
    let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
    npz.add_array("image", &images).unwrap();
    npz.finish().unwrap();
    path
}

/// The job on the small network, where gated models take half of the time; some of its samples for evaluation.
fn on_small(options: Options, evaluation: usize, swayed: fn(usize) -> bool) -> Dynamic {
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = small(folder.path());
    let opened = open(&file, &runtime(), &ShapeOptions::default()).unwrap();
    let device = Bent {
        flat: Some(1.0),
        swayed,
        ..Bent::new(&opened.proto)
    };
    let options = Options {
        calib: Some(SampleSource::new(images(folder.path(), 64, 5), Scaling::default())),
        eval: Some(SampleSource::new(
            images(folder.path(), evaluation, 9),
            Scaling::default(),
        )),
        ..options
    };
    let workloads = [Workload { opened, weight: 1.0 }];
    let outcome = optimize(&workloads, &device, Known::default(), &options, &Silent).unwrap();
    outcome.dynamic.unwrap()
}

#[test]
fn few_samples_are_not_divided_and_a_given_share_is_judged_on_all() {
    let options = |dynamics| Options {
        dynamics: Some(dynamics),
        ..Options::default()
    };
    let few = on_small(options(tiles(0.5)), 6, |_| false);
    let drop = few.eval_drop.unwrap();
    assert_eq!((drop.samples, drop.searched_on), (6, None));
    assert!(
        few.notes.iter().any(|n| n.contains("too few to be divided")),
        "{:?}",
        few.notes
    );
    let given = Dynamics {
        keep: Some(0.5),
        ..tiles(0.0)
    };
    let given = on_small(options(given), 32, |_| true);
    let drop = given.eval_drop.unwrap();
    assert_eq!(
        (drop.samples, drop.searched_on, given.model.is_some()),
        (32, None, true)
    );
    assert!(drop.value > 0.5, "{drop:?}");
}

fn channels(most_drop: f64) -> Dynamics {
    Dynamics {
        mode: Mode::Channels,
        ..tiles(most_drop)
    }
}

/// Gradient steps whose weights lose too much leave what stands without them.
#[test]
fn weights_from_before_stay_where_steps_lose_too_much() {
    let options = || Options {
        dynamics: Some(channels(0.3)),
        distill: 12,
        ..Options::default()
    };
    let without = on_small(
        Options {
            distill: 0,
            ..options()
        },
        32,
        |_| false,
    );
    assert!(without.model.is_some(), "{:?}", without.declined);
    // Whatever is judged after the choice that stands is refused.
    let refused = on_small(options(), 32, |run| run > 1);
    assert!(refused.model.is_some(), "{:?}", refused.declined);
    let steps = refused.distillation.as_ref().unwrap();
    assert!(steps.steps > 0 && !steps.taken, "{steps:?}");
    let drops = [&without, &refused].map(|found| found.eval_drop.unwrap());
    assert_eq!((drops[0], without.model == refused.model), (drops[1], true));
}

/// Sums of outputs, the greater the better; the original's are what they are.
#[derive(Debug)]
struct Alike {
    allowed_runs: usize,
}

impl UserMetric for Alike {
    fn name(&self) -> &str {
        "alike"
    }

    fn prepare(&self, _: &Stop) -> Result<()> {
        Ok(())
    }

    fn score(&self, asked: &ScoreRequest, _: &Limit) -> Result<f64> {
        let read = |folder: &Path| std::fs::read(folder.join("0.bin")).unwrap();
        let (own, original) = (read(&asked.outputs), read(&asked.original));
        assert_eq!(own.len(), original.len());
        assert!(own.len() <= self.allowed_runs * 40);
        let values = |bytes: &[u8]| -> Vec<f32> {
            let all = bytes.chunks_exact(4);
            all.map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
        };
        let off = values(&own)
            .into_iter()
            .zip(values(&original))
            .map(|(a, b)| f64::from((a - b).abs()));
        Ok(10.0 - off.sum::<f64>() / original.len() as f64)
    }
}

#[test]
fn a_metric_of_the_users_own_judges_gates() {
    let options = |most_drop| Options {
        dynamics: Some(tiles(most_drop)),
        metric: Some(Arc::new(Alike { allowed_runs: 32 })),
        ..Options::default()
    };
    let found = on_small(options(0.5), 32, |_| false);
    assert!(found.model.is_some(), "{:?}", found.declined);
    let (scores, drop) = (found.metric.unwrap(), found.eval_drop.unwrap());
    assert_eq!(
        (scores.name.as_str(), scores.original, drop.samples),
        ("alike", 10.0, 16)
    );
    assert_eq!((drop.value, drop.interval), (scores.drop(), None));
    assert!(drop.value > 0.0 && drop.searched_on.is_some(), "{drop:?}");
    assert!(found.task.is_none());
    let tight = on_small(options(1e-9), 32, |_| false);
    assert!(tight.model.is_none(), "{:?} {:?}", tight.metric, tight.eval_drop);
}
