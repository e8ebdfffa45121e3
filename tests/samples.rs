//! Samples as people have them, and what is done with a model that does not do well on them. Times come from a formula.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::command::{fails, model, snapprune};
use common::net::Net;
use common::priced::{Priced, Silent};
use common::{cpu, runtime};
use ndarray::{Array, Array1, ArrayD, IxDyn};
use ndarray_npy::NpzWriter;
use snapprune::channels::{ChannelChange, IndexRemaps};
use snapprune::data::{Dataset, Scaling};
use snapprune::device::{Device, DeviceInfo, Limit, Named, NodeTime, Runner, Runs, ShapeOptions, Timed};
use snapprune::onnx::proto::{ModelProto, tensor_shape_proto::dimension::Value as Dim, type_proto};
use snapprune::onnx::{Attributes, Dtype, Graph, Tensor, encode, parse};
use snapprune::optimize::{
    Amount, Dynamics, Goals, Known, Mode, Opened, Options, Outcome, Samples, Workload, fitted, open, optimize,
};
use snapprune::reconstruct::Change;
use snapprune::report::{outcome_json, outcome_text};
use snapprune::rewrite::rewrite;
use snapprune::{Error, Result};

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
    Dataset::read(path, &opened.specs, &Scaling::default()).unwrap()
}

/// A small reader of lines: convolutions over N×12×16, then steps of time as rows of products, before or behind the batch.
fn reader(batch: usize, time_major: bool) -> ModelProto {
    let mut net = Net::new(17, 5);
    let x = net.input("x", &[batch, 12, 16]);
    let one = net.ints(&[1]);
    let image = net.node("Unsqueeze", &[&x, &one], |_| {});
    let (w, b) = (net.weights(&[12, 1, 5, 5]), net.floats(&[12], -0.2, 0.2));
    let y = net.node("Conv", &[&image, &w, &b], |n| n.set_ints("pads", vec![0, 2, 0, 2]));
    let y = net.node("Relu", &[&y], |_| {});
    let (w, b) = (net.weights(&[16, 12, 8, 3]), net.floats(&[16], -0.2, 0.2));
    let y = net.node("Conv", &[&y, &w, &b], |n| n.set_ints("pads", vec![0, 1, 0, 1]));
    let y = net.node("Relu", &[&y], |_| {});
    let two = net.ints(&[2]);
    let y = net.node("Squeeze", &[&y, &two], |_| {});
    let order = if time_major { [2, 0, 1] } else { [0, 2, 1] };
    let y = net.node("Transpose", &[&y], |n| n.set_ints("perm", order.to_vec()));
    let w = net.floats(&[16, 20], -0.4, 0.4);
    let y = net.node("MatMul", &[&y, &w], |_| {});
    let y = net.node("Relu", &[&y], |_| {});
    let w = net.floats(&[20, 4], -0.4, 0.4);
    let y = net.node("MatMul", &[&y, &w], |_| {});
    net.output(&y);
    net.model()
}

/// What is lost on held-out samples when a third of each group's channels go and the rest is fitted, and when it is not.
fn lost(opened: &Opened, data: &Path) -> (f64, f64) {
    let graph = opened.graph().unwrap();
    let analysis = &opened.analysis;
    let mut change = ChannelChange::default();
    let free = analysis
        .groups
        .iter()
        .filter(|g| g.constraint.is_none() && g.classes.len() > 8);
    let mut groups = 0;
    for group in free {
        change.removed.extend(&group.classes[..group.classes.len() / 3]);
        groups += 1;
    }
    assert_eq!(groups, 3);
    let remaps = IndexRemaps::new(&analysis.dependencies, &analysis.groups, &change);
    let pruned = rewrite(&opened.proto, &graph, analysis, &change, &[]).unwrap();
    let parts = Change {
        model: &opened.proto,
        graph: &graph,
        analysis,
        remaps: &remaps,
    };
    let device = cpu();
    let data = read(data, opened).settled(&device, &encode(&opened.proto)).unwrap();
    let samples = Samples::new(data);
    let fit = fitted(
        &device,
        parts,
        pruned.clone(),
        &samples,
        0,
        (&Silent, &Limit::default()),
    )
    .unwrap();
    assert!(fit.notes.is_empty(), "{:?}", fit.notes);
    let executor = snapprune::score::StagedExecutor::new(&device, &samples.data, samples.judge.clone()).unwrap();
    let reference = snapprune::score::Reference::of(&executor, &opened.proto, &graph).unwrap();
    let own = Graph::of(&pruned).unwrap();
    let plain = reference.judge(&executor, &pruned, &own, 0).unwrap().loss();
    (fit.held_out().unwrap().loss(), plain)
}

#[test]
fn a_batch_behind_the_steps_of_time_is_fitted_as_well_as_one_before_them() {
    let folder = tempfile::tempdir().unwrap();
    // 128 samples make runs of 26, and a last one of 24.
    let data = written(folder.path(), "noise.npz", &noise(&[128, 12, 16], 1));
    let of = |model: ModelProto| lost(&opened(folder.path(), &model), &data);
    let (plain, unfitted) = of(with_open(reader(1, false), 0, "N"));
    let (behind, _) = of(with_open(reader(1, true), 0, "N"));
    let (single, _) = of(reader(1, true));
    assert!(plain < 0.7 * unfitted, "{plain} {unfitted}");
    assert!((behind / plain - 1.0).abs() < 0.02, "{behind} {plain}");
    assert!((single / plain - 1.0).abs() < 0.1, "{single} {plain}");
}

#[test]
fn samples_that_a_model_mixes_or_takes_one_by_one_are_run_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = written(folder.path(), "noise.npz", &noise(&[20, 6], 2));
    let batch = |make: &dyn Fn(&mut Net, &str) -> String| {
        let mut net = Net::new(17, 1);
        let x = net.input("x", &[1, 6]);
        let y = make(&mut net, &x);
        let w = net.floats(&[6, 3], -1.0, 1.0);
        let y = net.node("MatMul", &[&y, &w], |_| {});
        net.output(&y);
        let opened = opened(folder.path(), &with_open(net.model(), 0, "batch"));
        let data = read(&data, &opened);
        assert_eq!(data.batch(), 4);
        let settled = data.settled(&cpu(), &encode(&opened.proto)).unwrap();
        (settled.batch(), settled.notes().join(" "))
    };
    let plain = batch(&|net, x| net.node("Relu", &[x], |_| {}));
    assert_eq!(plain, (4, String::new()));
    // Centred over the batch.
    let (mixed, note) = batch(&|net, x| {
        let zero = net.ints(&[0]);
        let mean = net.node("ReduceMean", &[x], |n| n.set_ints("axes", vec![0]));
        let _ = zero;
        net.node("Sub", &[x, &mean], |_| {})
    });
    assert!(mixed == 1 && note.contains("mixes the samples"), "{mixed} {note}");
    // A shape inside that holds one sample.
    let (fixed, note) = batch(&|net, x| {
        let shape = net.ints(&[1, 6]);
        net.node("Reshape", &[x, &shape], |_| {})
    });
    assert!(fixed == 1 && note.contains("one sample at a time"), "{fixed} {note}");
}

#[test]
fn bench_runs_samples_alone_for_the_models_that_mix_them_only_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.npz");
    let mut npz = NpzWriter::new(std::fs::File::create(&data).unwrap());
    npz.add_array("x", &noise(&[20, 6], 2)).unwrap();
    // Of what is centred over itself alone nothing is left: the first class.
    npz.add_array("labels", &Array1::from_elem(20, 0i64)).unwrap();
    npz.finish().unwrap();
    let file = |name: &str, mixes: bool| {
        let mut net = Net::new(17, 1);
        let x = net.input("x", &[1, 6]);
        let y = match mixes {
            true => {
                let mean = net.node("ReduceMean", &[&x], |n| n.set_ints("axes", vec![0]));
                net.node("Sub", &[&x, &mean], |_| {})
            }
            false => net.node("Relu", &[&x], |_| {}),
        };
        let w = net.floats(&[6, 3], -1.0, 1.0);
        let y = net.node("MatMul", &[&y, &w], |_| {});
        net.output(&y);
        let path = folder.path().join(name);
        std::fs::write(&path, encode(&with_open(net.model(), 0, "batch"))).unwrap();
        path
    };
    let mut command = snapprune();
    command
        .arg("bench")
        .arg(file("plain.onnx", false))
        .arg(file("mixing.onnx", true));
    command.arg("--eval").arg(&data);
    let done = command
        .args(["--cpu", "--threads", "1", "--seconds", "0.05", "--json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{said}");
    assert!(said.contains("mixing.onnx: the model leaves its batch open"), "{said}");
    assert!(!said.contains("plain.onnx"), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["models"][1]["top1"], 1.0, "{report:#}");
}

#[test]
fn a_difference_in_the_last_sample_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, more: bool, batch: Option<usize>| {
        let mut net = Net::new(17, 1);
        let x = net.input("x", &[batch.unwrap_or(1), 4]);
        let w = net.constant(&Tensor::from_f32(vec![4], &[1.0; 4]));
        let mut y = net.node("Mul", &[&x, &w], |_| {});
        if more {
            let limit = net.constant(&Tensor::from_f32(vec![], &[1000.0]));
            let beyond = net.node("Sub", &[&y, &limit], |_| {});
            let beyond = net.node("Relu", &[&beyond], |_| {});
            y = net.node("Add", &[&y, &beyond], |_| {});
        }
        net.output(&y);
        let model = match batch {
            Some(_) => net.model(),
            None => with_open(net.model(), 0, "N"),
        };
        let path = folder.path().join(name);
        std::fs::write(&path, encode(&model)).unwrap();
        path
    };
    for batch in [None, Some(1), Some(4)] {
        let (a, b) = (file("a.onnx", false, batch), file("b.onnx", true, batch));
        for count in [7, 11, 33, 64, 128] {
            let mut x = ArrayD::<f32>::zeros(IxDyn(&[count, 4]));
            x.slice_mut(ndarray::s![count - 1, ..]).fill(2000.0);
            let data = written(folder.path(), "x.npz", &x);
            let verify = |b: &Path| {
                let mut command = snapprune();
                command.arg("verify").arg(&a).arg(b).arg("--eval").arg(&data);
                command.args(["--cpu", "--json"]).output().unwrap()
            };
            assert_eq!(verify(&a).status.code(), Some(0));
            let found = verify(&b);
            assert_eq!(found.status.code(), Some(1), "{batch:?} {count}");
            let report: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
            assert_eq!(report["outputs"][0]["different"], 4);
        }
    }
}

/// A device that may say something else than its inner one: what gated or narrower models take, and what they give.
struct Bent {
    inner: Priced,
    original: Vec<u8>,
    /// Milliseconds of any model that is not the original; as the inner device says, where there are none.
    flat: Option<f64>,
    /// Whether outputs of narrower models are NaN.
    broken: bool,
    /// Whether gated models give other classes when they are run on many samples.
    swayed: bool,
}

impl Bent {
    fn new(original: &ModelProto) -> Self {
        Self {
            inner: Priced::new(),
            original: encode(original),
            flat: None,
            broken: false,
            swayed: false,
        }
    }

    fn is_gated(model: &[u8]) -> bool {
        let nodes = parse(model.to_vec()).unwrap().proto.graph.unwrap().node;
        nodes.iter().any(|n| n.op_type() == "TopK")
    }
}

struct Flat(f64);

impl Timed for Flat {
    fn run(&mut self) -> Result<f64> {
        Ok(self.0)
    }
}

impl Device for Bent {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }

    fn load(&self, model: &[u8], inputs: &[Named], strict: bool) -> Result<Box<dyn Timed>> {
        match self.flat {
            Some(ms) if Self::is_gated(model) => Ok(Box::new(Flat(0.5 * ms))),
            Some(ms) => Ok(Box::new(Flat(ms))),
            None => self.inner.load(model, inputs, strict),
        }
    }

    fn outputs(&self, model: &[u8], inputs: &[Named]) -> Result<Vec<Named>> {
        let mut outputs = self.inner.outputs(model, inputs)?;
        if self.broken && model != self.original {
            for (_, tensor) in &mut outputs {
                let values = vec![f32::NAN; tensor.len()];
                *tensor = Tensor::from_f32(tensor.dims.clone(), &values);
            }
        }
        Ok(outputs)
    }

    fn outputs_plain(&self, model: &[u8], inputs: &[Named]) -> Result<Vec<Named>> {
        self.inner.outputs_plain(model, inputs)
    }

    fn each_output(&self, model: &[u8], runs: Runs, see: &mut dyn FnMut(Vec<Named>)) -> Result<()> {
        let swayed = self.swayed && Self::is_gated(model);
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

    fn node_times(&self, model: &[u8], inputs: &[Named], warmup: usize, runs: usize) -> Result<Option<Vec<NodeTime>>> {
        self.inner.node_times(model, inputs, warmup, runs)
    }
}

fn job(name: &str, device: &dyn Fn(&ModelProto) -> Bent, options: &Options) -> (Vec<Workload>, Outcome) {
    let opened = open(&model(name), &runtime(), &ShapeOptions::default()).unwrap();
    let device = device(&opened.proto);
    let workloads = vec![Workload { opened, weight: 1.0 }];
    let outcome = optimize(&workloads, &device, Known::default(), options, &Silent).unwrap();
    (workloads, outcome)
}

/// The main job on an opened model and a device that does as it should.
fn narrowed(opened: Opened, options: &Options) -> Result<Outcome> {
    let device = Bent::new(&opened.proto);
    let workloads = [Workload { opened, weight: 1.0 }];
    optimize(&workloads, &device, Known::default(), options, &Silent)
}

fn macs(share: f64) -> Options {
    Options {
        goals: Goals {
            macs: Some(Amount::Times(share)),
            ..Goals::default()
        },
        min_width: 1,
        calib: Some((model("shapes96_eval.npz"), scaling(), 60)),
        ..Options::default()
    }
}

fn scaling() -> Scaling {
    Scaling {
        mean: vec![0.5],
        std: vec![0.5],
    }
}

#[test]
fn fewer_macs_without_less_time_are_written_only_when_asked_for() {
    let flat = |original: &ModelProto| Bent {
        flat: Some(2.0),
        ..Bent::new(original)
    };
    let (_, refused) = job("shapes96.onnx", &flat, &macs(0.7));
    let why = refused.declined.unwrap();
    assert!(
        refused.model.is_none() && why.contains("not measured to be faster"),
        "{why}"
    );
    assert!(why.contains("--allow-slower"), "{why}");
    let asked = Options {
        allow_slower: true,
        ..macs(0.7)
    };
    let (workloads, written) = job("shapes96.onnx", &flat, &asked);
    assert!(written.model.is_some() && written.declined.is_none());
    assert!(written.macs.1 as f64 <= 0.7 * written.macs.0 as f64);
    assert!(outcome_text(&written, false).contains("was not measured to be faster"));
    let report = outcome_json("model", &workloads, &written);
    assert!(
        report["notes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|n| n.as_str().unwrap().contains("--allow-slower"))
    );
    // A goal in latency is not met by a model that is not faster.
    let latency = Options {
        goals: Goals {
            latency: Some(Amount::Times(0.7)),
            ..Goals::default()
        },
        allow_slower: true,
        ..macs(0.7)
    };
    assert!(job("shapes96.onnx", &flat, &latency).1.model.is_none());
}

#[test]
fn a_model_whose_outputs_are_no_numbers_is_not_written() {
    let broken = |original: &ModelProto| Bent {
        broken: true,
        ..Bent::new(original)
    };
    let (_, outcome) = job("shapes96_misaligned.onnx", &broken, &macs(0.7));
    let why = outcome.declined.unwrap();
    assert!(outcome.model.is_none() && why.contains("NaN"), "{why}");
    let (_, outcome) = job("shapes96_misaligned.onnx", &broken, &Options::default());
    assert!(outcome.model.is_none(), "{:?}", outcome.declined);
}

#[test]
fn what_may_be_dropped_is_told_with_what_the_samples_tell() {
    let options = Options {
        goals: Goals {
            max_drop: Some(0.01),
            ..Goals::default()
        },
        eval: Some((model("shapes96_eval.npz"), scaling())),
        ..macs(1.0)
    };
    let (workloads, outcome) = job("shapes96.onnx", &Bent::new, &options);
    let task = outcome.task.as_ref().unwrap();
    assert!(outcome.model.is_some(), "{:?}", outcome.declined);
    assert!(
        task.accuracy_drop() <= 0.01
            && task.drop_interval.low <= task.accuracy_drop()
            && task.drop_interval.high >= task.accuracy_drop()
    );
    let notes = outcome.notes.join("\n");
    assert!(
        notes.contains("95 % confidence") && notes.contains("cannot tell"),
        "{notes}"
    );
    let report = outcome_json("model", &workloads, &outcome);
    assert!(report["verify"]["drop"]["high"].as_f64().unwrap() > report["verify"]["drop"]["value"].as_f64().unwrap());
}

/// So many scenes of a seed as a file.
fn scenes(folder: &Path, name: &str, count: usize, seed: usize) -> PathBuf {
    let path = folder.join(name);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let python = if own.exists() { own } else { PathBuf::from("python3") };
    let mut command = Command::new(python);
    command.arg(model("scenes.py")).arg(&path);
    let done = command.args([count.to_string(), seed.to_string()]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    path
}

#[test]
fn evaluation_samples_decide_on_gates() {
    let folder = tempfile::tempdir().unwrap();
    let (calib, eval) = (
        scenes(folder.path(), "calib.npz", 60, 3),
        scenes(folder.path(), "eval.npz", 40, 2),
    );
    let options = Options {
        calib: Some((calib, scaling(), 0)),
        eval: Some((eval, scaling())),
        dynamics: Some(Dynamics {
            mode: Mode::Tiles,
            most_drop: 0.1,
            ..Dynamics::default()
        }),
        ..Options::default()
    };
    let on = |swayed: bool| {
        let device = move |original: &ModelProto| Bent {
            flat: Some(1.0),
            swayed,
            ..Bent::new(original)
        };
        job("scenes96.onnx", &device, &options).1.dynamic.unwrap()
    };
    let good = on(false);
    assert!(good.model.is_some(), "{:?}", good.declined);
    assert!(good.eval_drop.unwrap() <= 0.1 && good.task.is_some());
    // On calibration samples the same gates look as good; on those that decide they do not.
    let bad = on(true);
    assert!(bad.model.is_none() && bad.held_out_drop.unwrap() <= 0.1);
    let why = bad.declined.unwrap();
    assert!(
        why.contains("--eval") && why.contains("95 % confidence") && why.contains("--dynamic-drop"),
        "{why}"
    );
}

#[test]
fn token_ids_are_calibrated_on_as_the_integers_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 3);
    let ids = net.input("ids", &[1, 24]);
    let table = net.floats(&[50, 16], -1.0, 1.0);
    let y = net.node("Gather", &[&table, &ids], |_| {});
    let y = net.node("Transpose", &[&y], |n| n.set_ints("perm", vec![0, 2, 1]));
    let mut c = 16;
    let mut y = y;
    for wide in [40, 48] {
        let (w, b) = (net.weights(&[wide, c, 3]), net.floats(&[wide], -0.1, 0.1));
        y = net.node("Conv", &[&y, &w, &b], |n| n.set_ints("pads", vec![1, 1]));
        y = net.node("Relu", &[&y], |_| {});
        c = wide;
    }
    let y = net.node("ReduceMax", &[&y], |n| {
        n.set_ints("axes", vec![2]);
        n.set_int("keepdims", 0);
    });
    let w = net.floats(&[48, 5], -0.3, 0.3);
    let y = net.node("MatMul", &[&y, &w], |_| {});
    net.output(&y);
    let mut model = with_open(net.model(), 0, "N");
    let kind = model.graph.as_mut().unwrap().input[0].r#type.as_mut().unwrap();
    if let Some(type_proto::Value::TensorType(tensor)) = kind.value.as_mut() {
        tensor.elem_type = Some(Dtype::Int64 as i32);
    }
    let opened = opened(folder.path(), &model);
    let mut random = fastrand::Rng::with_seed(8);
    let array = Array::from_shape_simple_fn(IxDyn(&[80, 24]), || random.i32(0..50));
    let path = folder.path().join("ids.npz");
    let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
    npz.add_array("ids", &array).unwrap();
    npz.finish().unwrap();
    let options = Options {
        calib: Some((path, Scaling::default(), 0)),
        allow_slower: true,
        ..macs(0.6)
    };
    let outcome = narrowed(opened, &options).unwrap();
    assert!(outcome.model.is_some(), "{:?}", outcome.declined);
    let calibration = outcome.calibration.unwrap();
    assert!(
        calibration.samples == 80 && calibration.held_out_loss.unwrap() < 0.2,
        "{calibration:?}"
    );
}

#[test]
fn arrays_of_other_types_are_taken_where_that_changes_no_value() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[1, 3]);
    let y = net.node("Relu", &[&x], |_| {});
    net.output(&y);
    let opened = opened(folder.path(), &with_open(net.model(), 0, "N"));
    let path = folder.path().join("x.npz");
    let store = |add: &dyn Fn(&mut NpzWriter<std::fs::File>)| {
        let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
        add(&mut npz);
        npz.finish().unwrap();
        Dataset::read(&path, &opened.specs, &Scaling::default())
    };
    let wanted = [1.0, 2.0, 3.0, 250.0, 0.0, 7.0];
    let values = |data: Dataset| {
        let rows = (0..data.runs()).flat_map(|k| data.run(k).inputs[0].1.to_f32().unwrap());
        (rows.collect::<Vec<f32>>(), data.notes().len())
    };
    macro_rules! taken {
        ($($kind:ty),*) => {$(
            let array = Array::from_shape_fn((2, 3), |(i, j)| wanted[3 * i + j] as $kind);
            let found = values(store(&|npz| npz.add_array("x", &array).unwrap()).unwrap());
            assert_eq!(found, (wanted.to_vec(), usize::from(stringify!($kind) != "f32")), stringify!($kind));
        )*};
    }
    taken!(f32, f64, u8, i16, u16, i32, u32, i64, u64);
    // Columns first in memory.
    let array = Array::from_shape_fn((3, 2), |(j, i)| wanted[3 * i + j]).reversed_axes();
    assert_eq!(
        values(store(&|npz| npz.add_array("x", &array).unwrap()).unwrap()).0,
        wanted
    );
    let says = |add: &dyn Fn(&mut NpzWriter<std::fs::File>)| store(add).map(|_| ()).unwrap_err().to_string();
    let rounded = says(&|npz| npz.add_array("x", &Array::from_elem((2, 3), (1i64 << 24) + 1)).unwrap());
    assert!(rounded.contains("16777217") && rounded.contains("float32"), "{rounded}");
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut array = Array::from_elem((9, 3), 1.0f32);
        array[[4, 2]] = bad;
        let said = says(&|npz| npz.add_array("x", &array).unwrap());
        assert!(
            said.contains("'x'") && said.contains("sample 4") && said.contains("[4, 2]"),
            "{said}"
        );
        let wide = array.mapv(f64::from);
        let said = says(&|npz| npz.add_array("x", &wide).unwrap());
        assert!(said.contains("sample 4"), "{said}");
    }
    let said = says(&|npz| {
        npz.add_array("x", &Array::from_elem((2, 3), 1.0f32)).unwrap();
        npz.add_array("labels", &Array1::from_elem(2, 0.5f64)).unwrap();
    });
    assert!(said.contains("labels") && said.contains("0.5"), "{said}");
}

#[test]
fn numbers_of_half_precision_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[1, 2]);
    let y = net.node("Relu", &[&x], |_| {});
    net.output(&y);
    let opened = opened(folder.path(), &with_open(net.model(), 0, "N"));
    let bits: Vec<u16> = [0.5f32, -2.0, 1.5, 65504.0]
        .map(|v| half::f16::from_f32(v).to_bits())
        .to_vec();
    let mut array = Vec::new();
    let stored = ArrayD::from_shape_vec(IxDyn(&[2, 2]), bits).unwrap();
    ndarray_npy::WriteNpyExt::write_npy(&stored, &mut array).unwrap();
    let at = array.windows(3).position(|w| w == b"<u2").unwrap();
    array[at..at + 3].copy_from_slice(b"<f2");
    let path = folder.path().join("x.npz");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let plain = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("x.npy", plain).unwrap();
    std::io::Write::write_all(&mut archive, &array).unwrap();
    archive.finish().unwrap();
    let data = read(&path, &opened);
    let rows: Vec<f32> = (0..data.runs())
        .flat_map(|k| data.run(k).inputs[0].1.to_f32().unwrap())
        .collect();
    assert_eq!(rows, [0.5, -2.0, 1.5, 65504.0]);
}

#[test]
fn a_sample_with_nan_ends_a_job_with_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let mut x = noise(&[10, 3, 96, 96], 4);
    x[[7, 1, 2, 3]] = f32::NAN;
    let path = folder.path().join("bad.npz");
    let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
    npz.add_array("image", &x).unwrap();
    npz.finish().unwrap();
    let (net, bad) = (model("shapes96.onnx"), path.display().to_string());
    let net = net.to_str().unwrap();
    for flags in [["--calib", &bad], ["--eval", &bad]] {
        let said = fails(&[&[net, "--target-macs", "0.6x", "--cpu"], &flags[..]].concat(), 2);
        for part in ["bad.npz", "'image'", "sample 7", "NaN", "[7, 1, 2, 3]"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn an_original_that_is_nan_on_samples_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[1, 8, 6, 6]);
    let y = net.conv(&x, 8, 24, 3, 1);
    let y = net.node("Sqrt", &[&y], |_| {});
    let y = net.conv(&y, 24, 4, 3, 1);
    net.output(&y);
    let opened = opened(folder.path(), &with_open(net.model(), 0, "N"));
    let path = written(folder.path(), "x.npz", &noise(&[40, 8, 6, 6], 3));
    let options = Options {
        calib: Some((path, Scaling::default(), 0)),
        ..macs(0.6)
    };
    let found = narrowed(opened, &options);
    let Err(Error::Usage(said)) = found.map(|_| ()) else {
        panic!("not told")
    };
    assert!(
        said.contains("x.npz") && said.contains("gives NaN in output") && said.contains("for sample 0"),
        "{said}"
    );
}

#[test]
fn a_limit_on_multiply_accumulates_is_for_one_sample_at_any_batch() {
    let at = |batch: usize| {
        let shapes = ShapeOptions {
            batch: Some(batch),
            ..ShapeOptions::default()
        };
        let opened = open(&model("shapes96.onnx"), &runtime(), &shapes).unwrap();
        let whole = opened.analysis.total_macs();
        let options = Options {
            goals: Goals {
                macs: Some(Amount::Plain(0.8 * whole as f64)),
                ..Goals::default()
            },
            calib: None,
            allow_slower: true,
            ..macs(1.0)
        };
        let device = Bent::new(&opened.proto);
        let workloads = [Workload { opened, weight: 1.0 }];
        let outcome = optimize(&workloads, &device, Known::default(), &options, &Silent).unwrap();
        assert!(outcome.model.is_some(), "{:?}", outcome.declined);
        let report = outcome_json("model", &workloads, &outcome);
        assert_eq!(
            (&report["macs"]["before"], &report["macs"]["per"]),
            (&whole.into(), &"sample".into())
        );
        assert!(outcome.macs.1 as f64 <= 0.8 * whole as f64 && outcome.macs.1 as f64 > 0.7 * whole as f64);
        whole
    };
    assert_eq!(at(1), at(8));
}

/// Doubles N×4 and gives its products: the batch stands on `axis` of the input.
fn on_axis(axis: usize) -> ModelProto {
    let mut net = Net::new(17, 5);
    let dims = if axis == 0 { [1, 6, 4] } else { [6, 1, 4] };
    let x = net.input("x", &dims);
    let w = net.floats(&[4, 12], -0.5, 0.5);
    let y = net.node("MatMul", &[&x, &w], |_| {});
    let y = net.node("Relu", &[&y], |_| {});
    let w = net.floats(&[12, 3], -0.5, 0.5);
    let y = net.node("MatMul", &[&y, &w], |_| {});
    net.output(&y);
    with_open(net.model(), axis, "N")
}

#[test]
fn samples_of_an_input_whose_batch_stands_behind_are_laid_out_as_it_wants_them() {
    let folder = tempfile::tempdir().unwrap();
    let array = noise(&[23, 6, 4], 3);
    let path = written(folder.path(), "x.npz", &array);
    let model = on_axis(1);
    let opened = opened(folder.path(), &model);
    let data = read(&path, &opened).settled(&cpu(), &encode(&opened.proto)).unwrap();
    assert_eq!((data.batch(), data.runs(), data.notes().len()), (5, 5, 0));
    for k in 0..data.runs() {
        let run = data.run(k);
        let tensor = &run.inputs[0].1;
        assert_eq!(tensor.dims, [6, run.samples, 4]);
        let values = tensor.to_f32().unwrap();
        for (at, value) in values.into_iter().enumerate() {
            let (step, n, i) = (at / (4 * run.samples), at / 4 % run.samples, at % 4);
            assert_eq!(value, array[[5 * k + n, step, i]]);
        }
    }
    let report = {
        let workloads = [Workload { opened, weight: 1.0 }];
        let options = Options {
            calib: Some((path, Scaling::default(), 0)),
            allow_slower: true,
            ..macs(0.7)
        };
        let device = Bent::new(&workloads[0].opened.proto);
        let outcome = optimize(&workloads, &device, Known::default(), &options, &Silent).unwrap();
        assert!(outcome.calibration.is_none_or(|c| c.held_out_loss.unwrap() < 0.5));
        outcome.device.name
    };
    assert!(!report.is_empty());
}

#[test]
fn a_model_that_takes_no_single_sample_is_run_as_it_was_opened() {
    let folder = tempfile::tempdir().unwrap();
    // Pairs of samples become one row.
    let mut net = Net::new(17, 1);
    let x = net.input("x", &[2, 6]);
    let shape = net.ints(&[-1, 12]);
    let y = net.node("Reshape", &[&x, &shape], |_| {});
    let w = net.floats(&[12, 3], -1.0, 1.0);
    let y = net.node("MatMul", &[&y, &w], |_| {});
    net.output(&y);
    let file = folder.path().join("pairs.onnx");
    std::fs::write(&file, encode(&with_open(net.model(), 0, "N"))).unwrap();
    let shapes = ShapeOptions {
        batch: Some(2),
        ..ShapeOptions::default()
    };
    let opened = open(&file, &runtime(), &shapes).unwrap();
    let path = written(folder.path(), "x.npz", &noise(&[21, 6], 2));
    let data = read(&path, &opened).settled(&cpu(), &encode(&opened.proto)).unwrap();
    assert_eq!((data.batch(), data.runs(), data.distinct_runs()), (2, 11, 10));
    assert_eq!((data.run(10).samples, data.run(10).repeated), (2, 1));
    assert!(data.notes()[0].contains("2 are run at a time"), "{:?}", data.notes());
}

#[test]
fn one_number_for_a_run_of_several_samples_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 1);
    let x = net.input("x", &[4, 3]);
    let scale = net.input("scale", &[]);
    let y = net.node("Mul", &[&x, &scale], |_| {});
    net.output(&y);
    let opened = opened(folder.path(), &net.model());
    let path = folder.path().join("x.npz");
    let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
    npz.add_array("x", &noise(&[8, 3], 1)).unwrap();
    npz.add_array("scale", &Array1::from_elem(8, 2.0f32)).unwrap();
    npz.finish().unwrap();
    let said = Dataset::read(&path, &opened.specs, &Scaling::default())
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("'scale'") && said.contains("4 samples at a time"),
        "{said}"
    );
    let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
    npz.add_array("x", &noise(&[8, 3], 1)).unwrap();
    npz.add_array("scale", &ndarray::arr0(2.0f32)).unwrap();
    npz.finish().unwrap();
    let data = read(&path, &opened);
    assert_eq!((data.runs(), data.run(1).inputs[1].1.dims.len()), (2, 0));
}

#[test]
fn a_goal_on_outputs_that_are_selections_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 4);
    let x = net.input("x", &[1, 3, 8, 8]);
    let y = net.conv(&x, 3, 24, 3, 1);
    let y = net.node("Relu", &[&y], |_| {});
    let y = net.conv(&y, 24, 16, 3, 1);
    let zero = net.constant(&Tensor::from_f32(vec![], &[0.0]));
    let y = net.node("Greater", &[&y, &zero], |_| {});
    let y = net.node("NonZero", &[&y], |_| {});
    net.output(&y);
    let opened = opened(folder.path(), &net.model());
    let path = written(folder.path(), "x.npz", &noise(&[24, 3, 8, 8], 3));
    let options = Options {
        calib: Some((path, Scaling::default(), 0)),
        ..macs(0.6)
    };
    let said = narrowed(opened, &options).map(|_| ()).unwrap_err();
    assert!(said.to_string().contains("a selection such as"), "{said}");
}

#[test]
fn a_loss_that_was_judged_on_what_was_fitted_on_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 6);
    let x = net.input("x", &[16, 3, 8, 8]);
    let mut y = net.conv(&x, 3, 32, 3, 1);
    for _ in 0..3 {
        y = net.node("Relu", &[&y], |_| {});
        y = net.conv(&y, 32, 32, 3, 1);
    }
    net.output(&y);
    let opened = opened(folder.path(), &net.model());
    // One run of sixteen, and three samples that make none.
    let path = written(folder.path(), "x.npz", &noise(&[19, 3, 8, 8], 3));
    let options = Options {
        calib: Some((path, Scaling::default(), 0)),
        allow_slower: true,
        ..macs(0.6)
    };
    let outcome = narrowed(opened, &options).unwrap();
    let notes = outcome.notes.join("\n");
    assert!(
        notes.contains("none could be held out"),
        "{notes} {:?}",
        outcome.declined
    );
    assert!(outcome.calibration.unwrap().held_out_loss.is_none());
}

#[test]
fn a_plan_that_makes_outputs_that_are_no_numbers_is_not_applied() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 1);
    let x = net.input("x", &[1, 1, 4, 4]);
    let y = net.node("Abs", &[&x], |_| {});
    let w = net.constant(&Tensor::from_f32(vec![8, 1, 1, 1], &[1.0; 8]));
    let y = net.node("Conv", &[&y, &w], |_| {});
    let y = net.node("Relu", &[&y], |_| {});
    // What the last channels add keeps the sum above zero.
    let mut weights = [-1.0f32; 8];
    weights[4..].fill(10.0);
    let w = net.constant(&Tensor::from_f32(vec![1, 8, 1, 1], &weights));
    let y = net.node("Conv", &[&y, &w], |_| {});
    let y = net.node("Sqrt", &[&y], |_| {});
    net.output(&y);
    let file = folder.path().join("m.onnx");
    std::fs::write(&file, encode(&net.model())).unwrap();
    let opened = open(&file, &runtime(), &ShapeOptions::default()).unwrap();
    let group = opened
        .analysis
        .groups
        .iter()
        .find(|g| g.constraint.is_none() && g.classes.len() == 8)
        .unwrap();
    let nodes = &opened.proto.graph.as_ref().unwrap().node;
    let layers: Vec<String> = group
        .producers
        .iter()
        .map(|&n| snapprune::onnx::label(&nodes[n], n))
        .collect();
    let plan = serde_json::json!({
        "schema_version": 1, "model": opened.model.hash, "weights": {},
        "groups": [{"group": group.id, "layers": layers, "width_before": 8, "width_after": 4, "kept": [0, 1, 2, 3]}],
    });
    let (path, out) = (folder.path().join("plan.json"), folder.path().join("out.onnx"));
    std::fs::write(&path, plan.to_string()).unwrap();
    let said = fails(
        &[
            "apply",
            file.to_str().unwrap(),
            path.to_str().unwrap(),
            "-o",
            out.to_str().unwrap(),
        ],
        2,
    );
    assert!(said.contains("NaN or infinite") && !out.exists(), "{said}");
}

#[test]
fn verify_takes_models_that_run_one_sample_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 1);
    let x = net.input("x", &[1, 6]);
    let shape = net.ints(&[1, 6]);
    let y = net.node("Reshape", &[&x, &shape], |_| {});
    net.output(&y);
    let file = folder.path().join("one.onnx");
    std::fs::write(&file, encode(&with_open(net.model(), 0, "N"))).unwrap();
    let data = written(folder.path(), "x.npz", &noise(&[13, 6], 2));
    let mut command = snapprune();
    command.arg("verify").arg(&file).arg(&file).arg("--eval").arg(&data);
    let done = command.args(["--cpu", "--json"]).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["outputs"][0]["elements"], 78);
}

#[test]
fn one_sample_for_which_the_model_gives_nan_is_named_wherever_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[1, 4, 6, 6]);
    let y = net.conv(&x, 4, 24, 3, 1);
    let twenty = net.constant(&Tensor::from_f32(vec![], &[20.0]));
    let y = net.node("Add", &[&y, &twenty], |_| {});
    let y = net.node("Log", &[&y], |_| {});
    let y = net.conv(&y, 24, 4, 3, 1);
    net.output(&y);
    let model = with_open(net.model(), 0, "N");
    let opened = opened(folder.path(), &model);
    let device = Bent::new(&opened.proto);
    let workloads = [Workload { opened, weight: 1.0 }];
    for at in [0, 5, 60, 95] {
        let mut x = noise(&[97, 4, 6, 6], 3);
        x.slice_mut(ndarray::s![at, .., .., ..]).fill(-500.0);
        let path = written(folder.path(), "bad.npz", &x);
        let options = Options {
            calib: Some((path, Scaling::default(), 0)),
            ..macs(0.6)
        };
        let said = optimize(&workloads, &device, Known::default(), &options, &Silent)
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("bad.npz") && said.contains(&format!("for sample {at};")),
            "{at}: {said}"
        );
    }
}

#[test]
fn samples_that_tell_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "same.npz", &ArrayD::zeros(IxDyn(&[20, 3, 8, 8])));
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[1, 3, 8, 8]);
    let y = net.conv(&x, 3, 24, 3, 1);
    let y = net.conv(&y, 24, 4, 3, 1);
    net.output(&y);
    let opened = opened(folder.path(), &with_open(net.model(), 0, "N"));
    let options = Options {
        calib: Some((path, Scaling::default(), 0)),
        ..macs(0.6)
    };
    let said = narrowed(opened, &options).map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("the same for all of its samples"), "{said}");
}

#[test]
fn labels_that_are_no_classes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (net, path) = (model("shapes96.onnx"), folder.path().join("eval.npz"));
    let opened = open(&net, &runtime(), &ShapeOptions::default()).unwrap();
    for (label, sample) in [(99i64, 3), (-1, 7)] {
        let mut labels = Array1::from_elem(10, 0i64);
        labels[sample] = label;
        let mut npz = NpzWriter::new(std::fs::File::create(&path).unwrap());
        npz.add_array("image", &noise(&[10, 3, 96, 96], 1)).unwrap();
        npz.add_array("labels", &labels).unwrap();
        npz.finish().unwrap();
        let bytes = std::fs::read(&net).unwrap();
        let found = snapprune::verify::classes(&cpu(), &bytes, &read(&path, &opened), &|_, _| {});
        let said = found.map(|_| ()).unwrap_err().to_string();
        assert!(said.contains(&format!("sample {sample} is {label}")), "{said}");
    }
}
