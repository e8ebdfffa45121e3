//! The nodes of a model against the limits of a device.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use snapprune::Result;
use snapprune::device::{
    CpuFallback, Device, DeviceInfo, DeviceKind, Kernel, NamedTensor, NodeClock, NodeRuns, NodeTime, RecordedDevice,
    ShapeOptions, TimedSession, Timer, random_inputs,
};
use snapprune::onnx::proto::NodeProto;
use snapprune::onnx::{Attributes, Dtype, encode, parse};
use snapprune::optimize::open;
use snapprune::profile::{Bound, Database, Prober, Roofline, WholeModel, roofline};
use snapprune::report::{profile_html, roofline_text};

use crate::common::command::{model, snapprune};
use crate::common::net::{Net, body};
use crate::common::on_cpu::OnCpu;
use crate::common::runtime;

/// `profile` with `--json`, on this processor.
fn profiled(net: &Path, db: &Path) -> Value {
    let done = snapprune()
        .arg("profile")
        .arg(net)
        .args([
            "--cpu",
            "--threads",
            "1",
            "--step",
            "64",
            "--reach",
            "1",
            "--json",
            "--db",
        ])
        .arg(db)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text} {done:?}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn every_node_has_its_share_and_a_second_run_measures_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("l.db");
    let report = profiled(&model("shapes96.onnx"), &db);
    assert_eq!(report["schema_version"], 1);
    let shares = report["latency_steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| number(&s["share"]));
    let shares: Vec<f64> = shares.collect();
    assert!(
        shares.iter().all(|&s| s > 0.0) && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9,
        "{shares:?}"
    );
    let nodes = report["nodes"].as_array().unwrap();
    let total = number(&report["totals"]["nodes_ms"]);
    let sum: f64 = nodes.iter().map(|n| number(&n["ms"])).sum();
    assert!((sum - total).abs() < 1e-9, "{sum} {total}");
    for node in nodes {
        let share = number(&node["share"]);
        assert!((0.0..=1.0).contains(&share), "{node}");
        assert!((share - number(&node["ms"]) / total).abs() < 1e-9, "{node}");
        let known = node["bound"] != "unknown";
        assert_eq!(known, node["share_of_limit"].is_number(), "{node}");
        if known {
            assert!((0.0..=1.0).contains(&number(&node["share_of_limit"])), "{node}");
            assert!(node["flops"].is_number() && node["bytes"].is_number(), "{node}");
        }
    }
    // Layer by layer, whatever they are called where they run.
    let opened = open(&model("shapes96.onnx"), &runtime(), &ShapeOptions::default()).unwrap();
    let macs: u64 = opened.analysis.macs.iter().sum();
    let linear = nodes
        .iter()
        .filter(|n| ["Conv", "FusedConv", "Gemm"].contains(&n["op"].as_str().unwrap()));
    let flops: f64 = linear.map(|n| number(&n["flops"])).sum();
    assert!((flops / (2.0 * macs as f64) - 1.0).abs() < 1e-6, "{flops} {macs}");

    let again = profiled(&model("shapes96.onnx"), &db);
    let same = |at: &str| {
        let (one, two) = (number(report.pointer(at).unwrap()), number(again.pointer(at).unwrap()));
        assert!((one / two - 1.0).abs() < 1e-9, "{at}: {one} {two}");
    };
    same("/limits/bytes_per_ms");
    same("/limits/flops_per_ms/f32");
    same("/limits/least_ms");
    same("/totals/run_ms");
    same("/totals/nodes_ms");
}

#[test]
fn a_model_without_layers_to_time_still_shows_its_nodes() {
    let folder = tempfile::tempdir().unwrap();
    let net = folder.path().join("products.onnx");
    let mut graph = Net::new(17, 3);
    let x = graph.input("x", &[64, 256]);
    let w = graph.weights(&[256, 128]);
    let y = graph.node("MatMul", &[&x, &w], |_| {});
    let b = graph.floats(&[128], -0.3, 0.3);
    let y = graph.node("Add", &[&y, &b], |_| {});
    let y = graph.node("Relu", &[&y], |_| {});
    graph.output(&y);
    std::fs::write(&net, encode(&graph.model())).unwrap();
    let report = profiled(&net, &folder.path().join("l.db"));
    assert!(report["latency_steps"].as_array().unwrap().is_empty());
    let nodes = report["nodes"].as_array().unwrap();
    let product = nodes.iter().find(|n| n["flops"] == 2.0 * 64.0 * 256.0 * 128.0);
    let product = product.unwrap_or_else(|| panic!("{nodes:#?}"));
    assert!(number(&product["bytes"]) >= 4.0 * (64.0 * 256.0 + 256.0 * 128.0 + 64.0 * 128.0));
}

#[test]
fn a_node_with_bodies_has_their_time_and_names_do_not_steer_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("branches.onnx");
    let mut net = Net::new(17, 3);
    let x = net.input("x", &[1, 16, 32, 32]);
    let x = net.conv(&x, 16, 16, 3, 1);
    let w = net.weights(&[16, 16, 3, 3]);
    let sum = net.node("ReduceSum", &[&x], |n| n.set_int("keepdims", 0));
    let flag = net.node("Cast", &[&sum], |n| n.set_int("to", Dtype::Bool as i64));
    let inner = |output: &str| NodeProto {
        op_type: Some("Conv".into()),
        name: Some("inner\u{1b}[2J".into()),
        input: vec![x.clone(), w.clone()],
        output: vec![output.into()],
        ..NodeProto::default()
    };
    let y = net.node("If", &[&flag], |n| {
        n.attribute.push(body("then_branch", vec![inner("a")], "a"));
        n.attribute.push(body("else_branch", vec![inner("b")], "b"));
        n.name = Some("choice\u{1b}[2J".to_owned());
    });
    net.output(&y);
    std::fs::write(&file, encode(&net.model())).unwrap();
    let report = profiled(&file, &folder.path().join("l.db"));
    let nodes = report["nodes"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!(nodes.iter().filter(|n| n["op"] == "If").count(), 1, "{nodes:#?}");
    assert!(
        !nodes.iter().any(|n| n["name"].as_str().unwrap().contains("inner")),
        "{nodes:#?}"
    );
    for command in ["profile", "inspect"] {
        let mut run = snapprune();
        run.arg(command).arg(&file);
        if command == "profile" {
            run.args(["--cpu", "--threads", "1", "--step", "64", "--reach", "1", "--db"]);
            run.arg(folder.path().join("l.db"));
        }
        let text = String::from_utf8(run.output().unwrap().stdout).unwrap();
        assert!(text.contains("\\u001b[2J") && !text.contains('\u{1b}'), "{text}");
    }
}

/// A GPU of 132 multiprocessors whose kernels take what is set for each node.
type Gpu = OnCpu<Kernels>;

struct Kernels {
    run_ms: f64,
    /// Models whose nodes were timed.
    timed: AtomicUsize,
}

impl Gpu {
    fn new(run_ms: f64) -> Self {
        let timed = AtomicUsize::new(0);
        let mut device = Self::timed_by(Kernels { run_ms, timed });
        let facts = [
            ("multiprocessors", 132),
            ("threads_per_multiprocessor", 2048),
            ("blocks_per_multiprocessor", 32),
            ("registers_per_multiprocessor", 65536),
            ("shared_memory_per_multiprocessor", 233_472),
        ];
        device.info = DeviceInfo {
            kind: DeviceKind::Cuda,
            name: "A simulated GPU".to_owned(),
            fingerprint: "51b0".to_owned(),
            stack: "made up".to_owned(),
            facts: facts.iter().map(|(k, v)| ((*k).to_owned(), v.to_string())).collect(),
            former: vec![],
        };
        device
    }
}

struct Fixed(f64);

impl TimedSession for Fixed {
    fn run(&mut self) -> Result<f64> {
        Ok(self.0)
    }
}

/// Nanoseconds and blocks of a node's kernel.
fn kernel_of(name: &str) -> (u64, u32) {
    match name {
        // 2 · 4096³ operations: 137 Tflop/s; and 512 MiB: 536 GB/s.
        _ if name.starts_with("product") => (1_000_000, 10_000),
        _ if name.starts_with("convolution") => (5_000_000, 10_000),
        "memory" => (1_000_000, 100_000),
        _ if name.starts_with("least") => (2_000, 1),
        // A multiprocessor holds 16 blocks: one wave and a bit, and four.
        "wide" => (100_000, 140 * 16),
        "full" => (100_000, 132 * 16 * 4),
        "relu" => (50_000, 1000),
        _ => (3_000, 1),
    }
}

impl Timer for Gpu {
    fn prepare(&self, _: &[u8], _: &[NamedTensor], _: CpuFallback) -> Result<Box<dyn TimedSession>> {
        Ok(Box::new(Fixed(self.times.run_ms)))
    }

    fn node_clock(&self) -> NodeClock {
        NodeClock::Device
    }

    fn node_times(&self, model: &[u8], _: &[NamedTensor], runs: NodeRuns) -> Result<Option<Vec<NodeTime>>> {
        self.times.timed.fetch_add(1, Ordering::Relaxed);
        let proto = parse(model.to_vec())?.proto;
        let nodes = proto.graph.unwrap().node.into_iter().map(|node| {
            let (ns, blocks) = kernel_of(node.name());
            let kernel = Kernel {
                name: format!("_Z{}{}v", node.name().len(), node.name()),
                grid: [blocks, 1, 1],
                block: [128, 1, 1],
                registers: 32,
                shared_bytes: 0,
                ns,
            };
            NodeTime {
                name: node.name().to_owned(),
                op: node.op_type().to_owned(),
                samples: vec![ns as f64 / 1e6; runs.timed],
                kernels: vec![kernel],
            }
        });
        Ok(Some(nodes.collect()))
    }
}

/// A network of two convolutions of 1×1, a Relu and a mean, on a device.
fn seen(device: &dyn Device, db: &Path) -> Option<Roofline> {
    let file = db.with_extension("onnx");
    let mut net = Net::new(17, 5);
    let x = net.input("image", &[1, 64, 256, 256]);
    let mut y = net.conv(&x, 64, 256, 1, 1);
    y = net.conv(&y, 256, 64, 1, 1);
    y = net.node("Relu", &[&y], |_| {});
    y = net.node("GlobalAveragePool", &[&y], |_| {});
    net.output(&y);
    let mut proto = net.model();
    for (node, name) in proto
        .graph
        .as_mut()
        .unwrap()
        .node
        .iter_mut()
        .zip(["wide", "full", "relu", "mean"])
    {
        node.name = Some(name.to_owned());
    }
    std::fs::write(&file, encode(&proto)).unwrap();
    let opened = open(&file, &runtime(), &ShapeOptions::default()).unwrap();
    let (graph, bytes) = (opened.graph().unwrap(), encode(&opened.proto));
    let whole = WholeModel {
        graph: &graph,
        analysis: &opened.analysis,
        bytes: &bytes,
    };
    let prober = Prober::new(device, Some(Database::open(db).unwrap()));
    roofline(&prober, whole, &random_inputs(&opened.specs, 0, 1.0).unwrap()).unwrap()
}

#[test]
fn kernels_tell_what_binds_a_node_on_a_gpu() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("l.db");
    let device = Gpu::new(1.0);
    let found = seen(&device, &db).unwrap();
    let node = |name: &str| found.nodes.iter().find(|n| n.name == name).unwrap();
    assert!((found.limits.flops_per_ms.values().next().unwrap() / (2.0 * 4096f64.powi(3)) - 1.0).abs() < 1e-9);
    assert!((found.limits.least_ms - 0.002).abs() < 1e-12);
    // 2 · 64 · 256 · 65,536 operations take 0.0156 ms, and 84 MB take 0.156 ms: more than the kernel, so at most that.
    assert_eq!(node("wide").flops, Some(2.0 * 64.0 * 256.0 * 65536.0));
    assert_eq!(
        (node("wide").bound, node("wide").share_of_limit),
        (Bound::Memory, Some(1.0))
    );
    assert_eq!(node("relu").bound, Bound::Memory);
    assert_eq!(node("mean").bound, Bound::Launch);
    let waves = node("wide").main_kernel.as_ref().unwrap().waves.unwrap();
    assert_eq!((waves.resident, waves.waves), (16, 2));
    assert_eq!(node("wide").kernels, 1);
    assert!(found.totals.host_bound);
    let text = roofline_text(&found);
    assert!(text.contains("host-bound"), "{text}");
    assert!(text.contains("1, wide: 2 waves, 53 % used"), "{text}");
    let html = profile_html("net.onnx", "a GPU", Some(&found), &[]).unwrap();
    assert!(html.contains("id=\"nodes\"") && html.contains("host-bound"), "{html}");

    let before = device.times.timed.load(Ordering::Relaxed);
    assert_eq!(seen(&device, &db).unwrap().limits, found.limits);
    assert_eq!(
        device.times.timed.load(Ordering::Relaxed),
        before,
        "nothing is measured again"
    );

    let busy = seen(&Gpu::new(0.26), &folder.path().join("busy.db")).unwrap();
    assert!(!busy.totals.host_bound && !roofline_text(&busy).contains("host-bound"));
}

#[test]
fn a_device_that_is_not_here_has_no_limits() {
    let folder = tempfile::tempdir().unwrap();
    let device = RecordedDevice::new(runtime(), DeviceInfo::default());
    assert!(seen(&device, &folder.path().join("l.db")).is_none());
}
