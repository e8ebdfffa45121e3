//! Devices that fail or change while they are used, simulated where only a GPU could show it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod exact;
mod failing;
mod stopping;

use snapprune::onnx::Attributes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::command::model;
use crate::common::net::Net;
use crate::common::priced::Priced;
use crate::common::runtime;
use ndarray::Array4;
use ndarray_npy::NpzWriter;
use snapprune::data::Scaling;
use snapprune::device::{
    CpuDevice, CpuFallback, Device, DeviceInfo, Executor, Kernel, NamedTensor, NodeRuns, NodeTime, Runner,
    ShapeOptions, Stop, TimedSession, Timer,
};
use snapprune::onnx::encode;
use snapprune::optimize::{Amount, Goals, Known, Options, Outcome, ProgressReporter, Step, Workload, open, optimize};
use snapprune::plan::Metric;
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
    inner: Box<dyn TimedSession>,
    slower: Arc<dyn Fn() -> f64>,
}

impl TimedSession for Slower {
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
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(self)
    }

    fn stop(&self) -> Stop {
        self.stop.clone()
    }
}

impl Executor for Simulated {
    fn outputs(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        self.inner.outputs(model, inputs)
    }

    fn outputs_plain(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        self.inner.outputs_plain(model, inputs)
    }

    fn runner(&self, model: &[u8]) -> Result<Runner> {
        self.inner.runner(model)
    }
}

impl Timer for Simulated {
    fn load(&self, model: &[u8], inputs: &[NamedTensor], fallback: CpuFallback) -> Result<Box<dyn TimedSession>> {
        (self.loading)()?;
        Ok(Box::new(Slower {
            inner: self.inner.load(model, inputs, fallback)?,
            slower: self.slower.clone(),
        }))
    }

    fn node_times(&self, model: &[u8], inputs: &[NamedTensor], runs: NodeRuns) -> Result<Option<Vec<NodeTime>>> {
        let mut nodes = self.inner.node_times(model, inputs, runs)?;
        let slower = (self.slower)();
        for sample in nodes.iter_mut().flatten().flat_map(|n| &mut n.samples) {
            *sample *= slower;
        }
        Ok(nodes)
    }

    fn kernels(&self, _: &[u8], _: &[NamedTensor]) -> Result<Option<Vec<Kernel>>> {
        self.traced.fetch_add(1, Ordering::Relaxed);
        Err(Error::device(
            "CUPTI: begin: CUPTI_ERROR_INSUFFICIENT_PRIVILEGES; ask for them",
        ))
    }
}

/// The misaligned model, which can be made faster without loss.
fn loads() -> [Workload; 1] {
    let opened = open(&model("shapes96_misaligned.onnx"), &runtime(), &ShapeOptions::default()).unwrap();
    [Workload { opened, weight: 1.0 }]
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

/// Half of the multiply-accumulates, without samples and without time.
fn narrow_in_no_time() -> Options {
    Options {
        latency_steps: Duration::ZERO,
        time_budget: Some(Duration::ZERO),
        min_width: 1,
        goals: Goals::default().at_most(Metric::Macs, Amount::Times(0.7)),
        ..Options::default()
    }
}

/// What a job is told to do, step by step.
#[derive(Default)]
struct Steps(std::cell::RefCell<Vec<Step>>);

impl ProgressReporter for Steps {
    fn step(&self, step: Step) {
        self.0.borrow_mut().push(step);
    }
    fn progress(&self, _: usize, _: usize) {}
}

impl Steps {
    fn count(&self, what: &str) -> usize {
        self.0.borrow().iter().filter(|s| s.to_string().contains(what)).count()
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
