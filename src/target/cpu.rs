//! ONNX Runtime's CPU provider.

use std::collections::BTreeMap;
use std::time::Instant;

use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::IoBinding;
use ort::session::Session;

use super::handed::commit;
use super::node_times::{NodeTime, read_profile};
use super::runtime::{Runtime, run_once, tensors};
use super::values::{names, to_value};
use super::{DeviceInfo, Named, Runner, Stop, Target, Timed, fingerprint};
use crate::{Error, Result};

/// This machine's processor, with a number of threads.
#[derive(Debug)]
pub struct CpuTarget {
    runtime: Runtime,
    threads: usize,
    info: DeviceInfo,
}

impl CpuTarget {
    /// The CPU with `threads` threads within a node (0: ONNX Runtime's choice).
    pub fn new(runtime: Runtime, threads: usize) -> Self {
        let facts = cpu_facts();
        let info = DeviceInfo {
            kind: "cpu".to_owned(),
            name: facts.get("model").cloned().unwrap_or_else(|| "CPU".to_owned()),
            fingerprint: fingerprint(&facts),
            stack: format!("onnxruntime {} cpu threads={threads}", runtime.version),
            facts,
        };
        Self { runtime, threads, info }
    }
}

/// The processor's model, SIMD level, caches and core count, from the system.
fn cpu_facts() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        text.lines()
            .find(|l| l.split(':').next().is_some_and(|k| k.trim() == name))
            .and_then(|l| l.split(':').nth(1))
            .map(|v| v.trim().to_owned())
    };
    let mut facts = BTreeMap::new();
    let model = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    facts.insert("model".to_owned(), model);
    for (fact, name) in [
        ("family", "cpu family"),
        ("number", "model"),
        ("stepping", "stepping"),
        ("cache", "cache size"),
    ] {
        if let Some(value) = field(name) {
            facts.insert(fact.to_owned(), value);
        }
    }
    let flags = field("flags").unwrap_or_default();
    let simd = ["avx512f", "avx2", "avx", "sse4_2"]
        .into_iter()
        .find(|f| flags.split_whitespace().any(|g| g == *f))
        .unwrap_or(std::env::consts::ARCH);
    facts.insert("simd".to_owned(), simd.to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    facts.insert("cores".to_owned(), cores.to_string());
    facts
}

impl Target for CpuTarget {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn load(&self, model: &[u8], inputs: &[Named], _strict: bool) -> Result<Box<dyn Timed>> {
        let session = commit(self.runtime.builder(self.threads, &[])?, model)?;
        Ok(Box::new(Bound::new(session, inputs, &self.runtime)?))
    }

    fn outputs(&self, model: &[u8], inputs: &[Named]) -> Result<Vec<Named>> {
        let session = commit(self.runtime.builder(self.threads, &[])?, model)?;
        Ok(tensors(run_once(session, inputs)?))
    }

    fn runner(&self, model: &[u8]) -> Result<Runner> {
        let session = commit(self.runtime.builder(0, &[])?, model)?;
        Ok(Runner::new(session, &self.runtime.stop))
    }

    fn outputs_plain(&self, model: &[u8], inputs: &[Named]) -> Result<Vec<Named>> {
        Ok(tensors(self.runtime.run_plain(model, inputs)?))
    }

    fn node_times(&self, model: &[u8], inputs: &[Named], warmup: usize, runs: usize) -> Result<Option<Vec<NodeTime>>> {
        let folder = tempfile::tempdir().map_err(|e| Error::file("temporary folder", e))?;
        let builder = self.runtime.builder(self.threads, &[])?;
        let session = commit(builder.with_profiling(folder.path().join("profile"))?, model)?;
        let mut bound = Bound::new(session, inputs, &self.runtime)?;
        let mut before = bound.run()?;
        let mut warm = 1;
        while warm < MOST_WARMUP {
            let now = bound.run()?;
            warm += 1;
            if warm >= warmup && (now / before - 1.0).abs() < STEADY {
                break;
            }
            before = now;
        }
        for _ in 0..runs {
            bound.run()?;
        }
        let file = bound.session.end_profiling()?;
        let mut nodes = read_profile(std::path::Path::new(&file))?;
        for node in &mut nodes {
            node.samples.drain(..warm.min(node.samples.len()));
        }
        Ok(Some(nodes))
    }
}

/// Warm-up ends when two runs differ by less than this, or after so many.
const STEADY: f64 = 0.03;
const MOST_WARMUP: usize = 10;

/// A session with its inputs bound.
struct Bound {
    session: Session,
    binding: IoBinding,
    stop: Stop,
}

impl Bound {
    fn new(session: Session, inputs: &[Named], runtime: &Runtime) -> Result<Self> {
        let mut binding = session.create_binding()?;
        for (name, tensor) in inputs {
            binding.bind_input(name.as_str(), &to_value(name, tensor)?)?;
        }
        let memory = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default)?;
        for name in names(session.outputs()) {
            binding.bind_output_to_device(name, &memory)?;
        }
        Ok(Self {
            session,
            binding,
            stop: runtime.stop.clone(),
        })
    }
}

impl Timed for Bound {
    fn run(&mut self) -> Result<f64> {
        self.stop.check()?;
        let start = Instant::now();
        self.session.run_binding(&self.binding)?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }
}
