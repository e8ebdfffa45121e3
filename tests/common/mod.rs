//! Shared by the integration tests: ONNX Runtime, the real models, masked models, comparisons.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod bands;
pub mod browser;
pub mod chance;
pub mod command;
pub mod graphs;
pub mod line_reader;
pub mod net;
pub mod networks;
pub mod on_cpu;
pub mod priced;
pub mod quantized;
pub mod recorded;
pub mod small;
pub mod stored;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use snapprune::channels::{Analysis, ChannelChange, analyze};
use snapprune::device::{
    CpuDevice, Executor, InputSpec, NamedTensor, Runtime, ShapeOptions, input_specs, observe, random_inputs,
    without_value_info,
};
use snapprune::onnx::proto::{ModelProto, NodeProto, TensorProto};
use snapprune::onnx::{Dtype, Graph, Tensor, encode, parse};
use snapprune::rewrite::rewrite;

pub fn runtime() -> Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| Runtime::load(None).expect("ONNX Runtime; see README"))
        .clone()
}

pub fn cpu() -> CpuDevice {
    CpuDevice::new(runtime(), 1)
}

/// The folder of real models, or `None` (said once) when it is not there. In CI it must be.
pub fn shared() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    if path.join("models").is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "../shared is missing in CI");
    eprintln!("skipped: the real models of ../shared are not here");
    None
}

/// All real models, the archives unpacked into the target folder.
pub fn zoo() -> Vec<PathBuf> {
    static UNPACKED: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(shared) = shared() else {
        return Vec::new();
    };
    let folder = UNPACKED.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("zoo-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for archive in ["topology.tar.xz", "mobilenet_v2_imagenet.tar.xz"] {
            let file = shared.join("models").join(archive);
            let done = Command::new("tar").arg("xJf").arg(file).arg("-C").arg(&folder).status();
            assert!(done.unwrap().success(), "{archive} does not unpack");
        }
        Some(folder)
    });
    let unpacked = folder.clone().unwrap();
    let mut models = Vec::new();
    for place in [
        shared.join("models/trained"),
        unpacked.clone(),
        unpacked.join("topology"),
    ] {
        let found = std::fs::read_dir(place).unwrap().map(|e| e.unwrap().path());
        models.extend(found.filter(|p| p.extension().is_some_and(|e| e == "onnx")));
    }
    models.sort();
    assert_eq!(models.len(), 25, "{models:?}");
    models
}

/// One real model by the stem of its file name.
pub fn zoo_model(stem: &str) -> Option<PathBuf> {
    zoo().into_iter().find(|p| p.file_stem().is_some_and(|s| s == stem))
}

/// Changes a tensor's bytes.
pub fn with_bytes(tensor: &mut TensorProto, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = tensor.raw_data().to_vec();
    change(&mut bytes);
    tensor.raw_data = Some(bytes.into());
}

/// A model ready to be rewritten.
pub struct Case {
    pub proto: ModelProto,
    pub specs: Vec<InputSpec>,
    pub analysis: Analysis,
}

impl Case {
    /// A model whose weights are constants, also where callers may replace them.
    pub fn new(proto: &ModelProto) -> Result<Self, String> {
        Self::by(proto, |proto| Graph::new(proto.graph.as_ref().unwrap()))
    }

    /// A model of which weights that callers may replace are not known.
    pub fn as_given(proto: &ModelProto) -> Result<Self, String> {
        Self::by(proto, |proto| Graph::of(proto))
    }

    fn by(proto: &ModelProto, graph_of: fn(&ModelProto) -> snapprune::Result<Graph<'_>>) -> Result<Self, String> {
        let graph = graph_of(proto).map_err(|e| e.to_string())?;
        let specs = input_specs(&graph, &ShapeOptions::default()).map_err(|e| e.to_string())?;
        let seen = observe(&runtime(), proto, &specs).map_err(|e| e.to_string())?;
        let proto = if seen.stale_value_info {
            without_value_info(proto)
        } else {
            proto.clone()
        };
        let graph = graph_of(&proto).map_err(|e| e.to_string())?;
        let opset = proto
            .opset_import
            .iter()
            .find(|o| o.domain().is_empty())
            .map_or(1, |o| o.version());
        let analysis = analyze(&graph, opset, &seen.shapes).map_err(|e| e.to_string())?;
        Ok(Self { proto, specs, analysis })
    }

    pub fn open(path: &Path) -> Self {
        let model = parse(std::fs::read(path).unwrap()).unwrap();
        Self::new(&model.proto).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub fn apply(&self, change: &ChannelChange) -> Result<ModelProto, String> {
        let graph = Graph::new(self.proto.graph.as_ref().unwrap()).unwrap();
        rewrite(&self.proto, &graph, &self.analysis, change, &[]).map_err(|e| e.to_string())
    }

    pub fn inputs(&self, seed: u64) -> Vec<NamedTensor> {
        random_inputs(&self.specs, seed, 1.0).unwrap()
    }

    /// Every growable group wider by about `share` of its channels, at least one.
    pub fn grow_all(&self, share: f64) -> ChannelChange {
        let mut change = ChannelChange::default();
        for group in self.analysis.groups.iter().filter(|g| g.can_grow()) {
            let extra = (group.classes.len() as f64 * share).ceil() as u32;
            change.added.insert(*group.classes.last().unwrap(), extra.max(1));
        }
        change
    }

    /// A random `share` of the channels of every free group, leaving at least one.
    pub fn prune_all(&self, share: f64, random: &mut fastrand::Rng) -> ChannelChange {
        let mut change = ChannelChange::default();
        for group in self.analysis.groups.iter().filter(|g| g.constraint.is_none()) {
            let count = group.classes.len();
            let least = usize::from(count > 1);
            let gone = ((count as f64 * share).round() as usize).clamp(least, count.saturating_sub(1));
            let mut classes = group.classes.clone();
            random.shuffle(&mut classes);
            change.removed.extend(&classes[..gone]);
        }
        change
    }

    /// The model with the removed channels multiplied by zero wherever a layer reads them.
    pub fn masked(&self, removed: &HashSet<u32>) -> ModelProto {
        let mut copy = self.proto.clone();
        let graph = copy.graph.as_mut().unwrap();
        graph.value_info.clear();
        let original = self.proto.graph.as_ref().unwrap();
        let index = Graph::new(original).unwrap();
        let co = &self.analysis.dependencies;
        let mut before: Vec<Vec<NodeProto>> = vec![Vec::new(); original.node.len()];
        for (k, role) in co.roles.iter().enumerate().filter(|(_, r)| !r.output) {
            let dims = co.dims(role.value);
            let mask: Vec<f32> = (0..dims[role.axis])
                .map(|i| {
                    f32::from(u8::from(
                        !removed.contains(&co.class(co.atom(role.value, role.axis, i))),
                    ))
                })
                .collect();
            if mask.iter().all(|&m| m == 1.0) {
                continue;
            }
            let node = &original.node[role.node];
            let name = &co.value(role.value).name;
            let Some(at) = node.input.iter().position(|n| n == name) else {
                panic!("{} does not read {name}", node.name());
            };
            let half = node
                .input
                .iter()
                .filter_map(|n| index.constant(n))
                .any(|t| t.dtype == Dtype::Float16);
            let mut shape = vec![1; dims.len()];
            shape[role.axis] = mask.len();
            let mut tensor = Tensor::from_f32(shape, &mask);
            if half {
                tensor.dtype = Dtype::Float16;
                tensor.bytes = mask
                    .iter()
                    .flat_map(|m| half::f16::from_f32(*m).to_le_bytes())
                    .collect::<Vec<u8>>()
                    .into();
            }
            graph.initializer.push(tensor.to_proto(&format!("test.mask.{k}")));
            before[role.node].push(NodeProto {
                op_type: Some("Mul".into()),
                name: Some(format!("test.masking.{k}")),
                input: vec![graph.node[role.node].input[at].clone(), format!("test.mask.{k}")],
                output: vec![format!("test.masked.{k}")],
                ..Default::default()
            });
            graph.node[role.node].input[at] = format!("test.masked.{k}");
        }
        let nodes = std::mem::take(&mut graph.node);
        graph.node = before
            .into_iter()
            .zip(nodes)
            .flat_map(|(masks, node)| masks.into_iter().chain([node]))
            .collect();
        copy
    }

    /// Runs a model; outputs in order.
    pub fn run(&self, model: &ModelProto, seed: u64) -> Result<Vec<NamedTensor>, String> {
        cpu()
            .outputs(&encode(model), &self.inputs(seed))
            .map_err(|e| e.to_string())
    }
}

/// The largest difference of any output over its range: as it is, and beyond four times what
/// rounding alone does to that output (`plain` is `a` computed without optimization).
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    pub raw: f64,
    pub beyond_rounding: f64,
}

pub fn difference(a: &[NamedTensor], b: &[NamedTensor], plain: &[NamedTensor]) -> Difference {
    assert_eq!(a.len(), b.len());
    let mut worst = Difference {
        raw: 0.0,
        beyond_rounding: 0.0,
    };
    for (((name, x), (_, y)), (_, z)) in a.iter().zip(b).zip(plain) {
        assert_eq!(x.dims, y.dims, "{name}");
        let (Some(x), Some(y), Some(z)) = (x.to_f32(), y.to_f32(), z.to_f32()) else {
            assert_eq!(x.bytes, y.bytes, "{name}");
            continue;
        };
        let low = x.iter().copied().fold(f32::INFINITY, f32::min);
        let high = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let range = f64::from(if high > low { high - low } else { high.abs() }).max(1e-12);
        let largest = |p: &[f32], q: &[f32]| p.iter().zip(q).map(|(a, b)| f64::from(a - b).abs()).fold(0.0, f64::max);
        assert!(
            !y.iter().any(|v| v.is_nan()) || x.iter().any(|v| v.is_nan()),
            "{name} became NaN"
        );
        let (raw, rounding) = (largest(&x, &y), largest(&x, &z));
        worst.raw = worst.raw.max(raw / range);
        worst.beyond_rounding = worst.beyond_rounding.max((raw - 4.0 * rounding).max(0.0) / range);
    }
    worst
}
