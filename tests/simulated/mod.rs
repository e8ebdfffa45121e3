//! Devices that fail or change while they are used, simulated where only a GPU could show it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compiled;
mod exact;
mod failing;
mod loaded;
mod stopping;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::command::model;
use crate::common::on_cpu::OnCpu;
use crate::common::priced::Priced;
use crate::common::runtime;
use snapprune::data::Scaling;
use snapprune::device::{CpuFallback, Kernel, NamedTensor, NodeRuns, NodeTime, ShapeOptions, TimedSession, Timer};
use snapprune::optimize::{Amount, Goals, Known, Options, Outcome, ProgressReporter, Step, Workload, open, optimize};
use snapprune::plan::Metric;
use snapprune::{Error, Result};

/// A CPU that may refuse to load a model, and that may be slower than it is.
type Simulated = OnCpu<Faults>;

struct Faults {
    loading: Box<dyn Fn() -> Result<()> + Send + Sync>,
    slower: Arc<dyn Fn() -> f64 + Send + Sync>,
    /// How often kernels were asked for.
    traced: AtomicUsize,
}

impl Simulated {
    fn new(
        loading: impl Fn() -> Result<()> + Send + Sync + 'static,
        slower: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self::timed_by(Faults {
            loading: Box::new(loading),
            slower: Arc::new(slower),
            traced: AtomicUsize::new(0),
        })
    }
}

struct Slower {
    inner: Box<dyn TimedSession>,
    slower: Arc<dyn Fn() -> f64 + Send + Sync>,
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

impl Timer for Simulated {
    fn prepare(&self, model: &[u8], inputs: &[NamedTensor], fallback: CpuFallback) -> Result<Box<dyn TimedSession>> {
        (self.times.loading)()?;
        Ok(Box::new(Slower {
            inner: self.inner.load(model, inputs, fallback)?,
            slower: self.times.slower.clone(),
        }))
    }

    fn node_times(&self, model: &[u8], inputs: &[NamedTensor], runs: NodeRuns) -> Result<Option<Vec<NodeTime>>> {
        let mut nodes = self.inner.node_times(model, inputs, runs)?;
        let slower = (self.times.slower)();
        for sample in nodes.iter_mut().flatten().flat_map(|n| &mut n.samples) {
            *sample *= slower;
        }
        Ok(nodes)
    }

    fn kernels(&self, _: &[u8], _: &[NamedTensor]) -> Result<Option<Vec<Kernel>>> {
        self.times.traced.fetch_add(1, Ordering::Relaxed);
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
