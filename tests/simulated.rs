//! Devices that fail or change while they are used, simulated where only a GPU could show it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::command::model;
use common::runtime;
use snapprune::optimize::{Known, Load, Options, Outcome, Watcher, open, optimize};
use snapprune::profile::Database;
use snapprune::report::{outcome_json, outcome_text};
use snapprune::target::{CpuTarget, DeviceInfo, Named, NodeTime, Runner, ShapeOptions, Target, Timed};
use snapprune::{Error, Result};

/// A CPU that may refuse to load a model, and that may be slower than it is.
struct Simulated {
    inner: CpuTarget,
    loading: Box<dyn Fn() -> Result<()>>,
    slower: Arc<dyn Fn() -> f64>,
}

struct Slower {
    inner: Box<dyn Timed>,
    slower: Arc<dyn Fn() -> f64>,
}

impl Timed for Slower {
    fn run(&mut self) -> Result<f64> {
        Ok(self.inner.run()? * (self.slower)())
    }
}

impl Target for Simulated {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }

    fn load(&self, model: &[u8], inputs: &[Named], strict: bool) -> Result<Box<dyn Timed>> {
        (self.loading)()?;
        Ok(Box::new(Slower {
            inner: self.inner.load(model, inputs, strict)?,
            slower: self.slower.clone(),
        }))
    }

    fn outputs(&self, model: &[u8], inputs: &[Named]) -> Result<Vec<Named>> {
        self.inner.outputs(model, inputs)
    }

    fn outputs_plain(&self, model: &[u8], inputs: &[Named]) -> Result<Vec<Named>> {
        self.inner.outputs_plain(model, inputs)
    }

    fn runner(&self, model: &[u8]) -> Result<Runner> {
        self.inner.runner(model)
    }

    fn node_times(&self, model: &[u8], inputs: &[Named], warmup: usize, runs: usize) -> Result<Option<Vec<NodeTime>>> {
        let mut nodes = self.inner.node_times(model, inputs, warmup, runs)?;
        let slower = (self.slower)();
        for sample in nodes.iter_mut().flatten().flat_map(|n| &mut n.samples) {
            *sample *= slower;
        }
        Ok(nodes)
    }
}

/// How many records a database has.
fn records(path: &Path) -> usize {
    Database::open(path).unwrap().rows().unwrap().len()
}

/// The off-stair model, which can be made faster without loss.
fn loads() -> [Load; 1] {
    let opened = open(&model("shapes96_off_stair.onnx"), &runtime(), &ShapeOptions::default()).unwrap();
    [Load { opened, weight: 1.0 }]
}

struct Silent;

impl Watcher for Silent {
    fn step(&self, _: &str) {}
    fn progress(&self, _: usize, _: usize) {}
}

#[test]
fn a_device_that_is_lost_or_full_ends_the_run_and_keeps_what_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.db");
    let loads = loads();
    let options = Options {
        staircases: Duration::ZERO,
        ..Options::default()
    };
    let known = || Known {
        database: Some(Database::open(&path).unwrap()),
        ..Known::default()
    };
    let mut before = 0;
    for (left, says) in [
        (1, "CUDA error 2: out of memory"),
        (5, "CUDA failure 999: unknown error ; GPU=0"),
        (9, "CUDNN failure 4000: CUDNN_STATUS_INTERNAL_ERROR"),
        (
            9,
            "cuDNN is unavailable or disabled for CUDA Execution Provider: dlopen failed for libcudnn.so",
        ),
    ] {
        let left = AtomicUsize::new(left);
        let target = Simulated {
            inner: CpuTarget::new(runtime(), 1),
            loading: Box::new(move || {
                let less = |n: usize| n.checked_sub(1);
                let here = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
                here.map(|_| ()).map_err(|_| Error::Session(says.to_owned()))
            }),
            slower: Arc::new(|| 1.0),
        };
        let error = optimize(&loads, &target, known(), &options, &Silent)
            .map(|_| ())
            .unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        let next = error.next_step().unwrap();
        assert_eq!(next.contains("pip install"), says.contains("unavailable"), "{next}");
        // Each try goes on from where the last one ended.
        let now = records(&path);
        assert!(now > 0 && now >= before, "{now} records after {before}");
        before = now;
    }
    let target = CpuTarget::new(runtime(), 1);
    let outcome = optimize(&loads, &target, known(), &options, &Silent).unwrap();
    assert!(outcome.probes.reused >= before, "{:?} after {before}", outcome.probes);
}

/// The main job, on a device that gets slower: `speed` is told how much of anything was timed before, and gives the factor.
fn drifting(speed: fn(usize) -> f64) -> ([Load; 1], Outcome) {
    let timed = AtomicUsize::new(0);
    let target = Simulated {
        inner: CpuTarget::new(runtime(), 1),
        loading: Box::new(|| Ok(())),
        slower: Arc::new(move || speed(timed.fetch_add(1, Ordering::Relaxed))),
    };
    let options = Options {
        staircases: Duration::ZERO,
        ..Options::default()
    };
    let loads = loads();
    let outcome = optimize(&loads, &target, Known::default(), &options, &Silent).unwrap();
    (loads, outcome)
}

#[test]
fn a_machine_that_slows_down_is_noticed_and_its_ratios_still_hold() {
    // Half as fast after the first few sessions, and a quarter slower within the last race.
    let (loads, outcome) = drifting(|n| 1.0 + (n as f64 / 4.0).min(1.0) + n as f64 / 2000.0);
    let noise = outcome.noise;
    assert!(noise.probing_drift.unwrap() > 0.3, "{noise:?}");
    assert!(noise.unsteady().is_some());
    let said = outcome_text(&outcome, false);
    assert!(
        said.contains("the machine's speed changed by") && said.contains("run again"),
        "{said}"
    );
    let json = outcome_json("m", &loads, &outcome);
    assert_eq!(json["noise"]["probing_drift"], noise.probing_drift.unwrap());
    // Whatever the single times were: what is given was faster, turn by turn.
    if outcome.model.is_some() {
        let (ratio, half) = outcome.ratio.unwrap();
        assert!(ratio + half < 1.0, "{ratio} ± {half}");
    }
    assert!(outcome.agreement.is_none_or(|a| a.holds()));
}

#[test]
fn a_machine_that_stays_as_it_is_has_its_noise_told() {
    let (_, outcome) = drifting(|_| 1.0);
    let noise = outcome.noise;
    assert!(
        noise.widths > 4 && noise.typical >= 0.0 && noise.worst >= noise.typical,
        "{noise:?}"
    );
    assert!(noise.probing_drift.is_some(), "{noise:?}");
    assert!(
        outcome_text(&outcome, false).contains("noise     times of "),
        "{noise:?}"
    );
}
