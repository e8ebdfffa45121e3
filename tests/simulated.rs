//! Devices that fail or change while they are used, simulated where only a GPU could show it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::command::model;
use common::net::Net;
use common::priced::{Priced, Silent};
use common::runtime;
use ndarray::Array4;
use ndarray_npy::NpzWriter;
use snapprune::data::Scaling;
use snapprune::device::{CpuDevice, Device, DeviceInfo, Kernel, Named, NodeTime, Runner, ShapeOptions, Stop, Timed};
use snapprune::onnx::proto::NodeProto;
use snapprune::onnx::{Attributes, encode, parse};
use snapprune::optimize::{
    Amount, Dynamics, Goals, Known, Options, Outcome, ProgressReporter, Workload, open, optimize, pareto,
};
use snapprune::profile::Database;
use snapprune::report::{outcome_json, outcome_text};
use snapprune::verify::compare;
use snapprune::{Error, Result};

/// A CPU that may refuse to load a model, and that may be slower than it is.
struct Simulated {
    inner: CpuDevice,
    loading: Box<dyn Fn() -> Result<()>>,
    slower: Arc<dyn Fn() -> f64>,
    info: DeviceInfo,
    stop: Stop,
    /// How often kernels were asked for.
    traced: AtomicUsize,
}

impl Simulated {
    fn new(loading: impl Fn() -> Result<()> + 'static, slower: impl Fn() -> f64 + 'static) -> Self {
        let inner = CpuDevice::new(runtime(), 1);
        Self {
            info: inner.info().clone(),
            inner,
            loading: Box::new(loading),
            slower: Arc::new(slower),
            stop: Stop::default(),
            traced: AtomicUsize::new(0),
        }
    }
}

struct Slower {
    inner: Box<dyn Timed>,
    slower: Arc<dyn Fn() -> f64>,
}

impl Timed for Slower {
    fn run(&mut self) -> Result<f64> {
        Ok(self.inner.run()? * (self.slower)())
    }

    fn repeats(&self) -> usize {
        self.inner.repeats()
    }

    fn set_repeats(&mut self, repeats: usize) {
        self.inner.set_repeats(repeats);
    }
}

impl Device for Simulated {
    fn stop(&self) -> Stop {
        self.stop.clone()
    }

    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn kernels(&self, _: &[u8], _: &[Named]) -> Result<Option<Vec<Kernel>>> {
        self.traced.fetch_add(1, Ordering::Relaxed);
        Err(Error::Device(
            "CUPTI: begin: CUPTI_ERROR_INSUFFICIENT_PRIVILEGES; ask for them".to_owned(),
        ))
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

/// The misaligned model, which can be made faster without loss.
fn loads() -> [Workload; 1] {
    let opened = open(&model("shapes96_misaligned.onnx"), &runtime(), &ShapeOptions::default()).unwrap();
    [Workload { opened, weight: 1.0 }]
}

#[test]
fn a_device_that_is_lost_or_full_ends_the_run_and_keeps_what_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.db");
    let workloads = loads();
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
        let loading = move || {
            let less = |n: usize| n.checked_sub(1);
            let here = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            here.map(|_| ()).map_err(|_| Error::Session(says.to_owned()))
        };
        let device = Simulated::new(loading, || 1.0);
        let error = optimize(&workloads, &device, known(), &options, &Silent)
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
    let device = CpuDevice::new(runtime(), 1);
    let outcome = optimize(&workloads, &device, known(), &options, &Silent).unwrap();
    assert!(outcome.probes.reused >= before, "{:?} after {before}", outcome.probes);
}

/// The main job, on a device that gets slower: `speed` is told how much of anything was timed before, and gives the factor.
fn drifting(speed: fn(usize) -> f64) -> ([Workload; 1], Outcome) {
    let timed = AtomicUsize::new(0);
    let device = Simulated::new(|| Ok(()), move || speed(timed.fetch_add(1, Ordering::Relaxed)));
    let options = Options {
        staircases: Duration::ZERO,
        ..Options::default()
    };
    let workloads = loads();
    let outcome = optimize(&workloads, &device, Known::default(), &options, &Silent).unwrap();
    (workloads, outcome)
}

#[test]
fn a_machine_that_slows_down_is_noticed_and_its_ratios_still_hold() {
    // Half as fast after the first few sessions, and a quarter slower within the last race.
    let (workloads, outcome) = drifting(|n| 1.0 + (n as f64 / 4.0).min(1.0) + n as f64 / 2000.0);
    let noise = outcome.noise;
    assert!(noise.probing_drift.unwrap() > 0.3, "{noise:?}");
    assert!(noise.unsteady().is_some());
    let said = outcome_text(&outcome, false);
    assert!(
        said.contains("the machine's speed changed by") && said.contains("run again"),
        "{said}"
    );
    let json = outcome_json("m", &workloads, &outcome);
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

#[test]
fn a_profiler_that_refuses_costs_only_its_traces() {
    let mut device = Simulated::new(|| Ok(()), || 1.0);
    device.info.kind = "cuda".to_owned();
    let options = Options {
        staircases: Duration::ZERO,
        ..Options::default()
    };
    let workloads = loads();
    let outcome = optimize(&workloads, &device, Known::default(), &options, &Silent).unwrap();
    assert!(outcome.probes.made > 1);
    assert_eq!(device.traced.load(Ordering::Relaxed), 1);
    let said = outcome_text(&outcome, false);
    assert_eq!(
        said.matches("CUPTI_ERROR_INSUFFICIENT_PRIVILEGES; ask for them")
            .count(),
        1,
        "{said}"
    );
    let json = outcome_json("m", &workloads, &outcome);
    let notes = json["notes"].as_array().unwrap();
    assert!(
        notes
            .iter()
            .any(|n| n.as_str().unwrap().contains("kernels and their waves are not shown")),
        "{notes:?}"
    );
}

/// A small network on 32×32 images, and samples for it.
fn small(folder: &Path) -> (PathBuf, PathBuf) {
    let mut net = Net::new(17, 5);
    let mut x = net.input("image", &[1, 3, 32, 32]);
    for (cin, cout) in [(3, 32), (32, 48), (48, 64)] {
        x = net.conv(&x, cin, cout, 3, 1);
        x = net.node("Relu", &[&x], |_| {});
    }
    let x = net.node("GlobalAveragePool", &[&x], |_| {});
    let x = net.node("Flatten", &[&x], |_| {});
    let (w, b) = (net.weights(&[10, 64]), net.floats(&[10], -0.3, 0.3));
    let x = net.node("Gemm", &[&x, &w, &b], |n| n.set_int("transB", 1));
    net.output(&x);
    let (file, samples) = (folder.join("small.onnx"), folder.join("samples.npz"));
    std::fs::write(&file, encode(&net.model())).unwrap();
    let mut random = fastrand::Rng::with_seed(6);
    let images = Array4::from_shape_simple_fn((64, 3, 32, 32), || random.f32());
    let mut npz = NpzWriter::new(std::fs::File::create(&samples).unwrap());
    npz.add_array("image", &images).unwrap();
    npz.finish().unwrap();
    (file, samples)
}

#[test]
fn a_curve_foretells_what_a_device_without_noise_takes() {
    let folder = tempfile::tempdir().unwrap();
    let (net, samples) = small(folder.path());
    let opened = open(&net, &runtime(), &ShapeOptions::default()).unwrap();
    let workloads = [Workload { opened, weight: 1.0 }];
    let scaling = Scaling {
        mean: vec![0.0],
        std: vec![1.0],
    };
    let options = Options {
        goals: Goals {
            latency: Some(Amount::Times(1.0)),
            ..Goals::default()
        },
        calib: Some((samples, scaling, 64)),
        ..Options::default()
    };
    let rows = pareto(&workloads, &Priced::new(), None, &options, 3, &Silent).unwrap();
    let measured: Vec<(f64, f64)> = rows
        .iter()
        .filter_map(|row| Some((row.latency, row.measured.as_ref()?.latency)))
        .collect();
    assert!(measured.len() >= 2, "{measured:?}");
    for (predicted, measured) in measured {
        assert!(
            (measured / predicted - 1.0).abs() < 0.05,
            "{predicted} predicted, {measured} measured"
        );
    }
}
/// Asks to stop when a step begins.
struct StopsAt(&'static str, Stop);

impl ProgressReporter for StopsAt {
    fn step(&self, what: &str) {
        if what == self.0 {
            self.1.request();
        }
    }
    fn progress(&self, _: usize, _: usize) {}
}

/// Half of the multiply-accumulates, without samples and without time.
fn narrow_in_no_time() -> Options {
    Options {
        staircases: Duration::ZERO,
        time_budget: Some(Duration::ZERO),
        min_width: 1,
        goals: Goals {
            macs: Some(Amount::Times(0.7)),
            ..Goals::default()
        },
        ..Options::default()
    }
}

#[test]
fn a_wish_to_stop_ends_what_runs_no_model_too() {
    for step in ["ranking channels", "searching plans", "measuring whole models"] {
        let stop = Stop::default();
        let device = Simulated {
            stop: stop.clone(),
            ..Simulated::new(|| Ok(()), || 1.0)
        };
        let reporter = StopsAt(step, stop);
        let ended = optimize(&loads(), &device, Known::default(), &narrow_in_no_time(), &reporter);
        assert!(matches!(ended, Err(Error::Stopped)), "{step}");
    }
}

#[test]
fn without_time_a_goal_is_planned_from_what_is_known_and_the_report_says_so() {
    let workloads = loads();
    let outcome = optimize(
        &workloads,
        &Priced::new(),
        Known::default(),
        &narrow_in_no_time(),
        &Silent,
    )
    .unwrap();
    assert_eq!(outcome.probes.made, 0);
    assert!(
        outcome.unverified.iter().any(|u| u.contains("--time-budget was up")),
        "{:?}",
        outcome.unverified
    );
    // The plan was measured, and has a prediction from the same times as any other.
    let json = outcome_json("m", &workloads, &outcome);
    assert!(
        json["latency_ms"]["static"].is_number() || json["latency_ms"]["static"].is_object(),
        "{json:#}"
    );
    assert!(json["predicted_latency_ms"]["static"].as_f64() > Some(0.0), "{json:#}");
    assert_eq!(json["chosen"]["latency"], json["predicted_ratio_static"]);
}

/// What a job is told to do, step by step.
#[derive(Default)]
struct Steps(std::cell::RefCell<Vec<String>>);

impl ProgressReporter for Steps {
    fn step(&self, what: &str) {
        self.0.borrow_mut().push(what.to_owned());
    }
    fn progress(&self, _: usize, _: usize) {}
}

impl Steps {
    fn count(&self, what: &str) -> usize {
        self.0.borrow().iter().filter(|s| s.contains(what)).count()
    }
}

fn scaling() -> Scaling {
    Scaling {
        mean: vec![0.0],
        std: vec![1.0],
    }
}

/// What comes of a network and samples, and the steps that were taken.
fn watched(net: &Path, options: &Options) -> (Outcome, Steps) {
    let opened = open(net, &runtime(), &ShapeOptions::default()).unwrap();
    let workloads = [Workload { opened, weight: 1.0 }];
    let steps = Steps::default();
    let outcome = optimize(&workloads, &Priced::new(), Known::default(), options, &steps).unwrap();
    (outcome, steps)
}

#[test]
fn without_time_nothing_is_fitted_and_no_gates_are_begun() {
    let folder = tempfile::tempdir().unwrap();
    let (net, samples) = small(folder.path());
    let options = Options {
        calib: Some((samples, scaling(), 64)),
        dynamics: Some(Dynamics::default()),
        ..narrow_in_no_time()
    };
    let (outcome, steps) = watched(&net, &options);
    let told = outcome.notes.iter().chain(&outcome.unverified);
    let told: Vec<&String> = told
        .filter(|n| n.contains("fitting was cut short by --time-budget"))
        .collect();
    assert_eq!(told.len(), 1, "{:?} {:?}", outcome.notes, outcome.declined);
    assert_eq!(steps.count("gates"), 0, "{:?}", steps.0);
    let why = outcome.dynamic.unwrap().declined.unwrap();
    assert!(why.contains("--time-budget") || outcome.model.is_none(), "{why}");
}

#[test]
fn without_time_no_plan_is_tried_for_its_drop_and_the_reason_is_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let (net, samples) = small(folder.path());
    let options = Options {
        goals: Goals {
            max_drop: Some(0.01),
            ..Goals::default()
        },
        calib: Some((samples.clone(), scaling(), 64)),
        eval: Some((samples, scaling())),
        ..narrow_in_no_time()
    };
    let (outcome, steps) = watched(&net, &options);
    assert_eq!(steps.count("fitting weights"), 0, "{:?}", steps.0);
    let why = outcome.declined.unwrap();
    assert!(why.contains("the time of --time-budget was up"), "{why}");
}

/// The network with each constant of a layer behind two nodes that only pass it on.
fn behind_identity(net: &Path) -> PathBuf {
    let mut model = parse(std::fs::read(net).unwrap()).unwrap().proto;
    let graph = model.graph.as_mut().unwrap();
    let mut passing = Vec::new();
    for tensor in &graph.initializer {
        let names = [0, 1, 2].map(|k| match k {
            0 => tensor.name().to_owned(),
            k => format!("{}.same{k}", tensor.name()),
        });
        for node in &mut graph.node {
            for input in node.input.iter_mut().filter(|i| **i == names[0]) {
                input.clone_from(&names[2]);
            }
        }
        passing.extend([0, 1].map(|k| NodeProto {
            op_type: Some("Identity".to_owned()),
            name: Some(names[k + 1].clone()),
            input: vec![names[k].clone()],
            output: vec![names[k + 1].clone()],
            ..Default::default()
        }));
    }
    passing.append(&mut graph.node);
    graph.node = passing;
    let path = net.with_file_name("behind.onnx");
    std::fs::write(&path, encode(&model)).unwrap();
    path
}

#[test]
fn weights_behind_identity_nodes_are_narrowed_and_fitted_like_others() {
    let folder = tempfile::tempdir().unwrap();
    let (net, samples) = small(folder.path());
    let other = behind_identity(&net);
    for calib in [None, Some((samples, scaling(), 64))] {
        let options = Options {
            calib,
            time_budget: None,
            allow_slower: true,
            ..narrow_in_no_time()
        };
        let made = [&net, &other].map(|net| watched(net, &options).0);
        // Groups are numbered as the graph has them.
        let numbered = |o: &Outcome| o.plan.iter().flat_map(|p| p.groups.clone()).collect::<Vec<_>>();
        let [one, two] = made.each_ref().map(|o| {
            let mut groups = numbered(o);
            groups.iter_mut().for_each(|g| g.group = 0);
            groups
        });
        assert!(!one.is_empty());
        assert_eq!(one, two);
        let [Some(a), Some(b)] = made.each_ref().map(|o| o.model.as_ref()) else {
            panic!("{:?} {:?}", made[0].declined, made[1].declined);
        };
        let opened = open(&net, &runtime(), &ShapeOptions::default()).unwrap();
        let found = compare(&Priced::new(), a, b, &opened.specs, 7, 3).unwrap();
        // The places that a fit looks at are drawn by the number of the node.
        let same = match options.calib {
            None => found.holds(),
            Some(_) => found.cosine > 0.99,
        };
        assert!(same, "{found:?}");
    }
}
