//! Samples as people have them, and what is done with a model that does not do well on them. Times come from a formula.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod batches;
mod declining;
mod gates;
mod judging;
mod own_memory;
mod own_metric;
mod reading;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::command::model;
use crate::common::priced::{Priced, Silent, known_prices};
use crate::common::runtime;
use ndarray::{Array, ArrayD, IxDyn};
use ndarray_npy::NpzWriter;
use snapprune::Result;
use snapprune::data::{Dataset, Scaling};
use snapprune::device::{
    CpuFallback, Device, DeviceInfo, Executor, NamedTensor, NodeRuns, NodeTime, RunInputs, Runner, ShapeOptions,
    TimedSession, Timer,
};
use snapprune::onnx::proto::tensor_shape_proto::dimension::Value as Dim;
use snapprune::onnx::proto::{ModelProto, type_proto};
use snapprune::onnx::{Tensor, encode, parse};
use snapprune::optimize::{Amount, Goals, Known, Opened, Options, Outcome, SampleSource, Workload, open, optimize};
use snapprune::plan::Metric;

/// The model with an axis of its first input left open.
fn with_open(mut model: ModelProto, axis: usize, name: &str) -> ModelProto {
    let input = &mut model.graph.as_mut().unwrap().input[0];
    let kind = input.r#type.as_mut().and_then(|t| t.value.as_mut()).unwrap();
    let type_proto::Value::TensorType(tensor) = kind else {
        panic!("a tensor")
    };
    tensor.shape.as_mut().unwrap().dim[axis].value = Some(Dim::DimParam(name.to_owned()));
    model
}

fn opened(folder: &Path, model: &ModelProto) -> Opened {
    let path = folder.join("model.onnx");
    std::fs::write(&path, encode(model)).unwrap();
    open(&path, &runtime(), &ShapeOptions::default()).unwrap()
}

fn noise(dims: &[usize], seed: u64) -> ArrayD<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    Array::from_shape_simple_fn(IxDyn(dims), || (0..4).map(|_| random.f32()).sum::<f32>() - 2.0)
}

fn written(folder: &Path, name: &str, array: &ArrayD<f32>) -> PathBuf {
    let path = folder.join(name);
    let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
    npz.add_array("x", array).unwrap();
    npz.finish().unwrap();
    path
}

fn read(path: &Path, opened: &Opened) -> Dataset {
    Dataset::read(path, &opened.specs, Scaling::default()).unwrap()
}

/// A device that may say something else than its inner one: what gated or narrower models take, and what they give.
struct Bent {
    inner: Priced,
    original: Vec<u8>,
    /// Milliseconds of any model that is not the original; as the inner device says, where there are none.
    flat: Option<f64>,
    /// Whether outputs of narrower models are NaN.
    broken: bool,
    /// Whether gated models give other classes, by how often one was run on many samples before.
    swayed: fn(usize) -> bool,
    runs_of_gated: AtomicUsize,
}

impl Bent {
    fn new(original: &ModelProto) -> Self {
        Self {
            inner: Priced::new(),
            original: encode(original),
            flat: None,
            broken: false,
            swayed: |_| false,
            runs_of_gated: AtomicUsize::new(0),
        }
    }

    fn is_gated(model: &[u8]) -> bool {
        let nodes = parse(model.to_vec()).unwrap().proto.graph.unwrap().node;
        let ours = |name: &String| name.starts_with("snapprune/gate");
        nodes.iter().any(|n| n.output.iter().any(ours))
    }
}

struct Flat(f64);

impl TimedSession for Flat {
    fn run(&mut self) -> Result<f64> {
        Ok(self.0)
    }
}

impl Device for Bent {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(self)
    }
}

impl Executor for Bent {
    fn outputs(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        let mut outputs = self.inner.outputs(model, inputs)?;
        if self.broken && model != self.original {
            for (_, tensor) in &mut outputs {
                let values = vec![f32::NAN; tensor.len()];
                *tensor = Tensor::from_f32(tensor.dims.clone(), &values);
            }
        }
        Ok(outputs)
    }

    fn outputs_plain(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        self.inner.outputs_plain(model, inputs)
    }

    fn each_output(&self, model: &[u8], runs: RunInputs, see: &mut dyn FnMut(Vec<NamedTensor>)) -> Result<()> {
        let swayed = Self::is_gated(model) && (self.swayed)(self.runs_of_gated.fetch_add(1, Ordering::Relaxed));
        let mut runner = self.inner.runner(model)?;
        for inputs in runs {
            let mut outputs = runner.run_tensors(&inputs)?;
            if swayed {
                for (_, tensor) in &mut outputs {
                    let values: Vec<f32> = tensor.to_f32().unwrap().iter().map(|v| -v).collect();
                    *tensor = Tensor::from_f32(tensor.dims.clone(), &values);
                }
            }
            see(outputs);
        }
        Ok(())
    }

    fn runner(&self, model: &[u8]) -> Result<Runner> {
        self.inner.runner(model)
    }
}

impl Timer for Bent {
    fn prepare(&self, model: &[u8], inputs: &[NamedTensor], fallback: CpuFallback) -> Result<Box<dyn TimedSession>> {
        match self.flat {
            Some(ms) if Self::is_gated(model) => Ok(Box::new(Flat(0.5 * ms))),
            Some(ms) => Ok(Box::new(Flat(ms))),
            None => self.inner.load(model, inputs, fallback),
        }
    }

    fn node_times(&self, model: &[u8], inputs: &[NamedTensor], runs: NodeRuns) -> Result<Option<Vec<NodeTime>>> {
        self.inner.node_times(model, inputs, runs)
    }
}

fn job(name: &str, device: &dyn Fn(&ModelProto) -> Bent, options: &Options) -> (Vec<Workload>, Outcome) {
    let opened = open(&model(name), &runtime(), &ShapeOptions::default()).unwrap();
    let device = device(&opened.proto);
    let workloads = vec![Workload { opened, weight: 1.0 }];
    // Times that are made up are nobody else's.
    let known = match device.flat {
        Some(_) => Known::default(),
        None => known_prices(),
    };
    let outcome = optimize(&workloads, &device, known, options, &Silent).unwrap();
    (workloads, outcome)
}

/// The main job on an opened model and a device that does as it should.
fn narrowed(opened: Opened, options: &Options) -> Result<Outcome> {
    let device = Bent::new(&opened.proto);
    let workloads = [Workload { opened, weight: 1.0 }];
    optimize(&workloads, &device, known_prices(), options, &Silent)
}

fn macs(share: f64) -> Options {
    Options {
        goals: Goals::default().at_most(Metric::Macs, Amount::Times(share)),
        min_width: 1,
        calib: Some(SampleSource::new(model("shapes96_eval.npz"), scaling()).at_most(60)),
        ..Options::default()
    }
}

fn scaling() -> Scaling {
    Scaling {
        mean: vec![0.5],
        std: vec![0.5],
    }
}
