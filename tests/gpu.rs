//! What only a GPU can show. `make test-gpu` runs these; where there is no GPU each says that it was skipped.
//!
//! The binary needs neither network nor Rust where it runs: `target/debug/deps/all-* gpu::`, with ONNX Runtime's CUDA provider on its path.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod sessions;
mod values;

use crate::common;

use common::net::Net;
use common::priced::Silent;
use common::{difference, runtime};
use snapprune::device::{
    CpuFallback, CudaDevice, CudaOptions, Device, Executor, Loading, ModelRun, NodeClock, NodeRuns, NodeTime,
    ShapeOptions, Stop, Timer, WhenBusy, gpu_present, load_all, random_inputs,
};
use snapprune::error::DeviceError;
use snapprune::jobs::{
    DeviceChoice, DeviceSettings, MainSettings, ModelSource, PlannedModel, SettingsSearch, StoreSettings,
    WorkloadShape, plan_model,
};
use snapprune::onnx::proto::ModelProto;
use snapprune::onnx::{Attributes, Dtype, encode};
use snapprune::optimize::{Amount, Goals, GrowInit, Growth, Options};
use snapprune::plan::Metric;
use snapprune::profile::{Prober, Problem};
use snapprune::{Error, Result};

/// GPU 0 with these options; `None` (said) without one.
fn gpu(options: CudaOptions) -> Option<CudaDevice> {
    if !gpu_present(&runtime()) {
        eprintln!("skipped: there is no GPU with ONNX Runtime's CUDA provider here");
        return None;
    }
    Some(CudaDevice::new(runtime(), 0, options).unwrap())
}

/// Whether kernels can be traced here; where not, that is said.
fn traces(device: &CudaDevice) -> bool {
    let traces = device.info().stack.ends_with("times=own-kernels");
    if !traces {
        eprintln!("skipped: kernels cannot be traced here");
    }
    traces
}

/// Layouts, with and without graph capture.
fn variants() -> Vec<CudaOptions> {
    let given = CudaOptions::default();
    std::iter::once(given).chain(given.variants()).collect()
}

/// A residual network of odd widths: bottlenecks with attention over channels, a depthwise layer, a sigmoid.
fn network(dtype: Dtype, batch: usize) -> ModelProto {
    let mut net = Net::new(17, 11);
    let image = net.input("image", &[batch, 3, 56, 56]);
    let mut x = net.conv(&image, 3, 59, 3, 1);
    for _ in 0..2 {
        let y = net.conv(&x, 59, 43, 1, 1);
        let y = net.node("Relu", &[&y], |_| {});
        let y = net.conv(&y, 43, 43, 3, 43);
        let gate = net.node("Sigmoid", &[&y], |_| {});
        let y = net.node("Mul", &[&y, &gate], |_| {});
        let y = net.conv(&y, 43, 59, 3, 1);
        let y = net.eca(&y, 5);
        let y = net.node("Add", &[&x, &y], |_| {});
        x = net.node("Relu", &[&y], |_| {});
    }
    let pooled = net.node("GlobalAveragePool", &[&x], |_| {});
    let out = net.conv(&pooled, 59, 10, 1, 1);
    net.output(&out);
    let model = net.model();
    match dtype {
        Dtype::Float16 => common::net::halved(model),
        _ => model,
    }
}

fn plan(model: &ModelProto, device: DeviceSettings, options: Options) -> Result<PlannedModel> {
    let folder = tempfile::tempdir().unwrap();
    let settings = MainSettings {
        device,
        profile: None,
        store: StoreSettings {
            path: Some(folder.path().join("times.db")),
            ..StoreSettings::default()
        },
        on_busy: WhenBusy::Wait,
        shapes: vec![WorkloadShape {
            shapes: ShapeOptions::default(),
            weight: 1.0,
        }],
        options,
    };
    let source = ModelSource::of_bytes(&encode(model), "model.onnx")?;
    plan_model(settings.context(&Stop::default())?, &source, &settings, &Silent)
}

fn on_gpu(cuda: CudaOptions) -> DeviceSettings {
    DeviceSettings {
        choice: DeviceChoice::Gpu(0),
        cuda,
        ..DeviceSettings::default()
    }
}

#[test]
fn every_kernel_finds_its_node() {
    for options in variants() {
        let Some(device) = gpu(options) else { return };
        if !traces(&device) {
            return;
        }
        assert_eq!(device.node_clock(), NodeClock::Device);
        for dtype in [Dtype::Float, Dtype::Float16] {
            let model = encode(&network(dtype, 8));
            let opened = ModelSource::of_bytes(&model, "model.onnx").unwrap();
            let opened = opened.open(&runtime(), &ShapeOptions::default()).unwrap();
            let inputs = random_inputs(&opened.specs, 0, 1.0).unwrap();
            let runs = NodeRuns {
                warmup: 2,
                timed: 4,
                fallback: CpuFallback::Allowed,
            };
            let nodes = device.node_times(&model, &inputs, runs).unwrap();
            let nodes = nodes.expect("kernels without a node");
            let convolutions = nodes.iter().filter(|n| n.op.contains("Conv"));
            let timed = convolutions.filter(|n| !n.kernels.is_empty() && n.samples.iter().all(|&ms| ms > 0.0));
            assert_eq!(timed.count(), 10, "{options:?} {dtype:?}: {nodes:#?}");
            assert!(nodes.iter().all(|n| n.samples.len() == 4));
        }
    }
}

/// What cuDNN chooses must not hang on what else is loaded at the time.
#[test]
fn models_that_are_loaded_together_run_the_same_kernels() {
    for options in variants() {
        let Some(device) = gpu(options) else { return };
        if !traces(&device) {
            return;
        }
        let model = encode(&network(Dtype::Float, 8));
        let opened = ModelSource::of_bytes(&model, "model.onnx").unwrap();
        let opened = opened.open(&runtime(), &ShapeOptions::default()).unwrap();
        let inputs = random_inputs(&opened.specs, 0, 1.0).unwrap();
        let run = ModelRun {
            model: &model,
            inputs: &inputs,
        };
        let runs = NodeRuns {
            warmup: 2,
            timed: 4,
            fallback: CpuFallback::Allowed,
        };
        let kernels = |nodes: Option<Vec<NodeTime>>| -> Vec<String> {
            let nodes = nodes.expect("kernels without a node");
            nodes.into_iter().flat_map(|n| n.kernels).map(|k| k.name).collect()
        };
        let alone = kernels(device.node_times(&model, &inputs, runs).unwrap());
        for together in device.node_times_of_all(&[run; 6], runs, &mut || Ok(())).unwrap() {
            assert_eq!(kernels(together), alone, "{options:?}");
        }
        let loading = Loading {
            timer: &device,
            run,
            helpers: None,
            watched: false,
        };
        for session in load_all(&[loading; 6], CpuFallback::Allowed) {
            assert!(session.unwrap().run().unwrap() > 0.0, "{options:?}");
        }
    }
}

#[test]
fn layers_are_timed_side_by_side() {
    let Some(device) = gpu(CudaOptions::default()) else {
        return;
    };
    let problems: Vec<Problem> = (60..70).map(|n| Problem::plain(n, 2 * n, 28)).collect();
    let mut prober = Prober::new(&device, None);
    prober.require(&problems, &|_, _| {}).unwrap();
    for problem in &problems {
        let record = prober.get(problem).unwrap();
        assert!(record.summary().median > 0.0);
        assert_eq!(record.facts.kernels.is_empty(), !traces(&device));
    }
}

#[test]
fn grown_models_give_the_same_outputs_on_the_device() {
    for options in variants() {
        let Some(device) = gpu(options) else { return };
        for dtype in [Dtype::Float, Dtype::Float16] {
            let free = (options == CudaOptions::default()).then_some(Growth::Free);
            for growth in [Growth::Faster].into_iter().chain(free) {
                let model = network(dtype, 4);
                let wanted = Options {
                    growth,
                    ..Options::default()
                };
                let PlannedModel { outcome, workloads } = plan(&model, on_gpu(options), wanted).unwrap();
                let Some(written) = outcome.model else {
                    assert!(outcome.declined.is_some());
                    continue;
                };
                let inputs = random_inputs(&workloads[0].opened.specs, 9, 1.0).unwrap();
                let before = device.outputs(&encode(&model), &inputs).unwrap();
                let after = device.outputs(&written, &inputs).unwrap();
                let plain = device.outputs_plain(&encode(&model), &inputs).unwrap();
                let apart = difference(&before, &after, &plain);
                assert!(
                    apart.beyond_rounding < 1e-3,
                    "{options:?} {dtype:?} {growth:?}: {apart:?}"
                );
            }
        }
    }
}

#[test]
fn goals_are_reached_on_the_device() {
    if gpu(CudaOptions::default()).is_none() {
        return;
    }
    let mut goals = Goals::default();
    goals.limits[Metric::Macs] = Some(Amount::Times(0.8));
    let options = Options {
        goals,
        when_slower: snapprune::optimize::WhenSlower::Write,
        ..Options::default()
    };
    let outcome = plan(&network(Dtype::Float, 4), on_gpu(CudaOptions::default()), options)
        .unwrap()
        .outcome;
    let macs = outcome.counted[Metric::Macs];
    assert!(outcome.model.is_some(), "{:?}", outcome.declined);
    assert!(macs.after as f64 <= 0.8 * macs.before as f64);
}

#[test]
fn shared_weights_of_new_channels_are_exact_on_the_device() {
    if gpu(CudaOptions::default()).is_none() {
        return;
    }
    let options = Options {
        growth: Growth::Free,
        grow_init: GrowInit::Split,
        ..Options::default()
    };
    let outcome = plan(&network(Dtype::Float, 4), on_gpu(CudaOptions::default()), options)
        .unwrap()
        .outcome;
    let agreement = outcome.agreement.map(|a| a.holds());
    assert!(agreement.is_none_or(|holds| holds));
}

#[test]
fn the_fastest_settings_are_used_and_told() {
    if gpu(CudaOptions::default()).is_none() {
        return;
    }
    let settings = DeviceSettings {
        search: SettingsSearch::Auto,
        ..on_gpu(CudaOptions::default())
    };
    let outcome = plan(&network(Dtype::Float, 1), settings, Options::default())
        .unwrap()
        .outcome;
    assert_eq!(outcome.settings.len(), 4);
    assert_eq!(outcome.settings.iter().filter(|s| s.chosen).count(), 1);
    let chosen = outcome.settings.iter().find(|s| s.chosen).unwrap();
    let graph = chosen.options.iter().any(|o| o == "enable_cuda_graph=1");
    assert_eq!(outcome.device.stack.contains("cuda_graph=on"), graph);
    assert!(outcome.settings.iter().all(|s| s.ms.is_some() || s.failed.is_some()));
}

#[test]
fn faults_are_errors_with_a_kind() {
    if gpu(CudaOptions::default()).is_none() {
        return;
    }
    let none = CudaDevice::new(runtime(), 4096, CudaOptions::default()).err().unwrap();
    assert!(matches!(none, Error::Device(DeviceError::NoSuchGpu { .. })), "{none}");
    // A model that the provider cannot run alone is refused where nothing may go to the CPU.
    let device = gpu(CudaOptions::default()).unwrap();
    let mut net = Net::new(17, 1);
    let x = net.input("x", &[1, 4, 8, 8]);
    let y = net.node("GridSample", &[&x, &x], |n| n.set_int("align_corners", 0));
    net.output(&y);
    let refused = device.load(&encode(&net.model()), &[], CpuFallback::Forbidden).err();
    assert!(refused.is_some());
}
