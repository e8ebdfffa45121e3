//! ONNX Runtime's CPU provider.

use std::time::Instant;

use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::IoBinding;
use ort::session::Session;

use super::device_tensor::Runner;
use super::executor::Executor;
use super::foreign::ForeignCall;
use super::info::{DeviceInfo, DeviceKind, fingerprint};
use super::interface::Device;
use super::node_times::{NodeRun, NodeTime, by_node, end_profile};
use super::outputs::{bound, run};
use super::processor::{Processor, Said, processor};
use super::remark::{Remark, ThreadChoice};
use super::run::Run;
use super::runtime::{Idle, Runtime, run_once, runs_of, tensors};
use super::session_from_memory::commit;
use super::stop::Stop;
use super::timer::{CpuFallback, NodeRuns, TimedSession, Timer};
use super::values::NamedTensor;
use crate::{Error, Result};

/// This machine's processor, with a number of threads.
#[derive(Debug)]
pub struct CpuDevice {
    runtime: Runtime,
    threads: usize,
    info: DeviceInfo,
}

impl CpuDevice {
    /// The CPU with `threads` threads within a node (0: ONNX Runtime's choice).
    pub fn new(runtime: Runtime, threads: usize) -> Self {
        let Processor { name, facts, former } = processor(&Said::here());
        let info = DeviceInfo {
            kind: DeviceKind::Cpu,
            name,
            fingerprint: fingerprint(&facts),
            stack: format!(
                "onnxruntime {} cpu threads={}",
                runtime.version,
                described(runtime.own_threads, threads, runtime.idle)
            ),
            facts,
            former,
        };
        Self { runtime, threads, info }
    }
}

/// The number of threads and what they do between runs, where there are several; ONNX Runtime's own choice is told apart, as it also
/// holds its threads to cores.
fn described(own: usize, threads: usize, idle: Idle) -> String {
    let (count, number) = match threads {
        0 => (own, format!("{own} (default)")),
        n => (n, n.to_string()),
    };
    let idle = match idle {
        Idle::Sleep => "sleep",
        Idle::Spin => "spin",
        Idle::Block => "block",
    };
    match count {
        1 => number,
        _ => format!("{number} idle={idle}"),
    }
}

impl Device for CpuDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(self)
    }

    fn stop(&self) -> Stop {
        self.runtime.stop.clone()
    }
}

impl Executor for CpuDevice {
    fn outputs(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        let session = commit(self.runtime.builder(self.threads, &[])?, model, &self.runtime.stop)?;
        Ok(tensors(run_once(session, inputs, &self.runtime.stop)?))
    }

    fn outputs_plain(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        Ok(tensors(self.runtime.run_plain(model, inputs)?))
    }

    fn loaded<'m>(&'m self, model: &'m [u8]) -> Result<Run<'m>> {
        Ok(runs_of(
            commit(self.runtime.builder(self.threads, &[])?, model, &self.runtime.stop)?,
            &self.runtime.stop,
        ))
    }

    fn loaded_plain<'m>(&'m self, model: &'m [u8]) -> Result<Run<'m>> {
        self.runtime.loaded_plain(model)
    }

    fn runner(&self, model: &[u8]) -> Result<Runner> {
        let session = commit(self.runtime.builder(0, &[])?, model, &self.runtime.stop)?;
        Ok(Runner::new(session, &self.runtime.stop))
    }

    fn deployed(&self, model: &[u8]) -> Result<Runner> {
        let session = commit(self.runtime.builder(self.threads, &[])?, model, &self.runtime.stop)?;
        Ok(Runner::new(session, &self.runtime.stop))
    }
}

impl Timer for CpuDevice {
    fn prepare(&self, model: &[u8], inputs: &[NamedTensor], _: CpuFallback) -> Result<Box<dyn TimedSession>> {
        let session = commit(self.runtime.builder(self.threads, &[])?, model, &self.runtime.stop)?;
        Ok(Box::new(Bound::new(session, inputs, &self.runtime)?))
    }

    fn remark(&self) -> Option<Remark> {
        let (threads, chosen) = match self.threads {
            0 => (self.runtime.own_threads, ThreadChoice::Runtime),
            threads => (threads, ThreadChoice::Caller),
        };
        let cores = std::thread::available_parallelism().map_or(threads, usize::from);
        (threads > cores).then_some(Remark::Crowded { threads, cores, chosen })
    }

    fn node_times(&self, model: &[u8], inputs: &[NamedTensor], runs: NodeRuns) -> Result<Option<Vec<NodeTime>>> {
        let folder = tempfile::tempdir().map_err(|e| Error::file("temporary folder", e))?;
        let builder = self.runtime.builder(self.threads, &[])?;
        let session = commit(
            builder.with_profiling(folder.path().join("profile"))?,
            model,
            &self.runtime.stop,
        )?;
        let mut bound = Bound::new(session, inputs, &self.runtime)?;
        let mut before = bound.run()?;
        let mut warm = 1;
        while warm < MOST_WARMUP {
            let now = bound.run()?;
            warm += 1;
            if warm >= runs.warmup && (now / before - 1.0).abs() < STEADY {
                break;
            }
            before = now;
        }
        for _ in 0..runs.timed {
            bound.run()?;
        }
        let runs = end_profile(&mut bound.session, &self.runtime.stop)?;
        let host = |run: NodeRun| {
            let ms = run.us / 1000.0;
            (run, ms, Vec::new())
        };
        let mut nodes = by_node(runs.into_iter().map(host));
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
pub(super) struct Bound {
    session: Session,
    binding: IoBinding,
    memory: MemoryInfo<'static>,
    renewed: bool,
    stop: Stop,
}

impl Bound {
    pub(super) fn new(session: Session, inputs: &[NamedTensor], runtime: &Runtime) -> Result<Self> {
        let memory = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default)?;
        let binding = bound(&session, inputs, &memory)?;
        Ok(Self {
            session,
            binding,
            memory,
            renewed: false,
            stop: runtime.stop.clone(),
        })
    }
}

impl TimedSession for Bound {
    fn run(&mut self) -> Result<f64> {
        let _call = self.stop.enter(ForeignCall::Model)?;
        let start = Instant::now();
        run(
            &mut self.session,
            &mut self.binding,
            &self.memory,
            None,
            &mut self.renewed,
        )?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::{CpuDevice, described};
    use crate::device::{Device, Idle, Runtime, Timer};

    #[test]
    fn the_number_of_threads_is_said_and_what_they_do_between_runs() {
        let runtime = Runtime::load(None).unwrap();
        let own = runtime.own_threads;
        assert!(own >= 1);
        let stack = |threads| CpuDevice::new(runtime.clone(), threads).info().stack.clone();
        let default = format!(" cpu threads={}", described(own, 0, Idle::Sleep));
        assert!(stack(0).ends_with(&default), "{}", stack(0));
        assert!(stack(3).ends_with(" cpu threads=3 idle=sleep"), "{}", stack(3));
        assert!(stack(1).ends_with(" cpu threads=1"), "{}", stack(1));
        assert_eq!(described(4, 0, Idle::Sleep), "4 (default) idle=sleep");
        assert_eq!(described(1, 0, Idle::Sleep), "1 (default)");
        assert_eq!(described(4, 2, Idle::Spin), "2 idle=spin");
        assert_eq!(described(4, 2, Idle::Block), "2 idle=block");
    }

    #[test]
    fn more_threads_than_cores_are_remarked_on() {
        let runtime = Runtime::load(None).unwrap();
        assert_eq!(CpuDevice::new(runtime.clone(), 1).remark(), None);
        let said = CpuDevice::new(runtime, 4096).remark().unwrap().to_string();
        assert!(said.contains("4096 threads share"), "{said}");
    }
}
