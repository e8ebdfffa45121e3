//! Sessions that are loaded once serve for all that a job asks of a model.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::loads;
use crate::common::on_cpu::OnCpu;
use crate::common::priced::{Priced, Silent};
use snapprune::Result;
use snapprune::device::{CpuFallback, Executor, NamedTensor, NodeClock, NodeRuns, NodeTime, TimedSession, Timer};
use snapprune::onnx::Tensor;
use snapprune::optimize::{Declined, Known, Options, Outcome, optimize};
use snapprune::profile::Database;

/// A device on which loading takes long: its clock is its own, its sessions give outputs and times of nodes.
type OnDevice = OnCpu<Arc<Counted>>;

struct Counted {
    priced: Priced,
    /// What is added to outputs of any model but the first that is loaded.
    off: f32,
    first: Mutex<Option<Vec<u8>>>,
    /// Whole models with the inputs of the job.
    loaded: AtomicUsize,
    watched: AtomicUsize,
    told: AtomicUsize,
    ran: AtomicUsize,
}

fn on_device(off: f32) -> OnDevice {
    let priced = Priced::new();
    let info = priced.info.clone();
    let times = Counted {
        priced,
        off,
        first: Mutex::default(),
        loaded: AtomicUsize::new(0),
        watched: AtomicUsize::new(0),
        told: AtomicUsize::new(0),
        ran: AtomicUsize::new(0),
    };
    OnDevice {
        info,
        ..OnDevice::timed_by(Arc::new(times))
    }
}

struct Held {
    inner: Box<dyn TimedSession>,
    model: Vec<u8>,
    inputs: Vec<NamedTensor>,
    watched: bool,
    of: Arc<Counted>,
}

impl TimedSession for Held {
    fn run(&mut self) -> Result<f64> {
        self.inner.run()
    }

    fn gives_outputs(&self) -> bool {
        true
    }

    fn outputs(&mut self, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        self.of.ran.fetch_add(1, Ordering::Relaxed);
        let mut outputs = self.of.priced.inner.outputs(&self.model, inputs)?;
        let original = self.of.first.lock().unwrap().as_deref() == Some(&self.model);
        for (_, tensor) in outputs.iter_mut().filter(|_| !original) {
            let values: Vec<f32> = tensor
                .numbers()
                .unwrap()
                .iter()
                .map(|&v| v as f32 + self.of.off)
                .collect();
            *tensor = Tensor::from_f32(tensor.dims.clone(), &values);
        }
        Ok(outputs)
    }

    fn node_times(&mut self, runs: NodeRuns) -> Result<Option<Vec<NodeTime>>> {
        assert!(self.watched, "a session tells its nodes' times once");
        self.watched = false;
        self.of.told.fetch_add(1, Ordering::Relaxed);
        self.of.priced.node_times(&self.model, &self.inputs, runs)
    }
}

impl OnDevice {
    fn held(&self, model: &[u8], inputs: &[NamedTensor], watched: bool) -> Result<Box<dyn TimedSession>> {
        Ok(Box::new(Held {
            inner: self.times.priced.load(model, inputs, CpuFallback::Allowed)?,
            model: model.to_vec(),
            inputs: inputs.to_vec(),
            watched,
            of: self.times.clone(),
        }))
    }

    fn count(&self) -> [usize; 4] {
        let of = &self.times;
        [&of.loaded, &of.watched, &of.told, &of.ran].map(|n| n.swap(0, Ordering::Relaxed))
    }
}

impl Timer for OnDevice {
    fn prepare(&self, model: &[u8], inputs: &[NamedTensor], _: CpuFallback) -> Result<Box<dyn TimedSession>> {
        self.times.loaded.fetch_add(1, Ordering::Relaxed);
        self.held(model, inputs, false)
    }

    fn prepare_watched(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Option<Box<dyn TimedSession>>> {
        self.times.watched.fetch_add(1, Ordering::Relaxed);
        self.times.first.lock().unwrap().get_or_insert_with(|| model.to_vec());
        self.held(model, inputs, true).map(Some)
    }

    fn node_times(&self, model: &[u8], inputs: &[NamedTensor], runs: NodeRuns) -> Result<Option<Vec<NodeTime>>> {
        self.times.priced.node_times(model, inputs, runs)
    }

    fn node_clock(&self) -> NodeClock {
        NodeClock::Device
    }
}

fn run(device: &OnDevice, database: Option<Database>) -> Outcome {
    let known = Known {
        database,
        ..Known::default()
    };
    let options = Options {
        latency_steps: std::time::Duration::ZERO,
        ..Options::default()
    };
    optimize(&loads(), device, known, &options, &Silent).unwrap()
}

#[test]
fn a_model_that_is_loaded_is_timed_compared_and_told_of_by_one_session() {
    let folder = tempfile::tempdir().unwrap();
    let database = || Database::open(&folder.path().join("times.db")).ok();
    let device = on_device(0.0);
    let outcome = run(&device, database());
    assert!(outcome.model.is_some(), "{:?}", outcome.declined);
    assert!(
        outcome
            .agreement
            .as_ref()
            .is_some_and(|a| a.holds() && a.inputs_tried == 3)
    );
    let [_, watched, told, ran] = device.count();
    assert_eq!((watched, told), (1, 1));
    assert_eq!(ran, 6, "three inputs through both models");
    // A second job has nothing to load, and says so.
    let again = run(&device, database());
    assert_eq!(device.count(), [0, 0, 0, 0]);
    assert_eq!(again.model, outcome.model);
    let largest = |o: &Outcome| o.agreement.as_ref().unwrap().max_abs_diff;
    assert!((largest(&again) / largest(&outcome) - 1.0).abs() < 1e-9);
    let told = |o: &Outcome| {
        o.notes
            .iter()
            .any(|n| n.contains("an earlier job here made the same model"))
    };
    assert!(told(&again) && !told(&outcome), "{:?}", again.notes);
}

#[test]
fn outputs_of_the_timed_sessions_decide() {
    let outcome = run(&on_device(0.5), None);
    assert_eq!(outcome.declined, Some(Declined::OutputsDiffer));
    assert!(outcome.model.is_none());
}
