//! A session on a GPU, timed by events.

use std::sync::Arc;

use cudarc::driver::sys::CUevent_flags;
use cudarc::driver::{CudaContext, CudaEvent, CudaStream};
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, RunOptions, Session};
use tempfile::TempDir;

use super::driver::driver;
use super::node_kernels::node_kernels;
use crate::Result;
use crate::device::foreign::ForeignCall;
use crate::device::node_times::{NodeTime, end_profile};
use crate::device::outputs::{bound, run};
use crate::device::stop::Stop;
use crate::device::timer::{NodeRuns, TimedSession};
use crate::device::trace::traced;
use crate::device::values::{NamedTensor, from_value, names};

/// A GPU and the stream that sessions run on.
pub(super) struct Gpu {
    pub(super) index: usize,
    pub(super) context: Arc<CudaContext>,
    pub(super) stream: Arc<CudaStream>,
}

/// A session whose inputs and outputs live on the GPU.
pub(super) struct OnGpu {
    stop: Stop,
    session: Session,
    binding: IoBinding,
    memory: MemoryInfo<'static>,
    renewed: bool,
    options: RunOptions,
    stream: Arc<CudaStream>,
    start: CudaEvent,
    end: CudaEvent,
    repeats: usize,
    /// Where it writes a profile, until that is read.
    profile: Option<TempDir>,
}

/// Warm-up ends when two samples differ by less than this.
const STEADY: f64 = 0.02;
/// The option of a run that names the graph that it captures or replays.
const GRAPH_ID: &str = "gpu_graph_id";
/// Its value for a run kernel by kernel.
const NO_GRAPH: &str = "-1";

impl OnGpu {
    /// A session with its inputs and outputs bound on a GPU; one run a sample.
    pub(super) fn new(gpu: &Gpu, session: Session, inputs: &[NamedTensor], stop: Stop) -> Result<Self> {
        let call = stop.enter(ForeignCall::Model)?;
        let memory = MemoryInfo::new(
            AllocationDevice::CUDA,
            gpu.index as i32,
            AllocatorType::Device,
            MemoryType::Default,
        )?;
        let binding = bound(&session, inputs, &memory)?;
        binding.synchronize_inputs()?;
        drop(call);
        let mut options = RunOptions::new()?;
        options.disable_device_sync()?;
        let event = || {
            gpu.context
                .new_event(Some(CUevent_flags::CU_EVENT_DEFAULT))
                .map_err(driver)
        };
        Ok(Self {
            session,
            binding,
            memory,
            renewed: false,
            options,
            stream: gpu.stream.clone(),
            start: event()?,
            end: event()?,
            repeats: 1,
            profile: None,
            stop,
        })
    }

    /// The same for a session that writes a profile into a folder.
    pub(super) fn watched(self, folder: TempDir) -> Self {
        Self {
            profile: Some(folder),
            ..self
        }
    }

    /// Runs without waiting `repeats` times between two events, so that the launches of one run
    /// hide behind the work of the one before, as under load.
    pub(super) fn sample(&mut self) -> Result<f64> {
        let _call = self.stop.enter(ForeignCall::Model)?;
        self.start.record(&self.stream).map_err(driver)?;
        for _ in 0..self.repeats {
            let parts = (&mut self.session, &mut self.binding);
            run(parts.0, parts.1, &self.memory, Some(&self.options), &mut self.renewed)?;
        }
        self.end.record(&self.stream).map_err(driver)?;
        let total = self.start.elapsed_ms(&self.end).map_err(driver)?;
        Ok(f64::from(total) / self.repeats as f64)
    }
}

impl TimedSession for OnGpu {
    fn run(&mut self) -> Result<f64> {
        self.sample()
    }

    /// cuDNN finds its kernels, and memory is taken. A graph is not captured: the device may have other work meanwhile.
    fn first_run(&mut self) -> Result<()> {
        self.options.set(GRAPH_ID, NO_GRAPH)?;
        self.sample()?;
        Ok(self.options.set(GRAPH_ID, "0")?)
    }

    /// Warms up, then picks the number of repeats that makes a sample about 2 ms long, until it is steady.
    fn settle(&mut self) -> Result<()> {
        for _ in 0..3 {
            self.sample()?;
        }
        let once = self.sample()?.max(1e-3);
        self.repeats = ((2.0 / once).ceil() as usize).clamp(1, 100);
        let mut before = self.sample()?;
        for _ in 0..10 {
            let now = self.sample()?;
            if (now / before - 1.0).abs() < STEADY {
                break;
            }
            before = now;
        }
        Ok(())
    }

    fn repeats(&self) -> usize {
        self.repeats
    }

    fn set_repeats(&mut self, repeats: usize) {
        self.repeats = repeats.max(1);
    }

    fn gives_outputs(&self) -> bool {
        true
    }

    fn outputs(&mut self, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        let _call = self.stop.enter(ForeignCall::Model)?;
        let host = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default)?;
        let order = names(self.session.outputs());
        let binding = bound(&self.session, inputs, &host)?;
        binding.synchronize_inputs()?;
        // A captured graph reads the inputs that it was captured with.
        let mut options = RunOptions::new()?;
        options.set(GRAPH_ID, NO_GRAPH)?;
        let mut outputs = self.session.run_binding_with_options(&binding, &options)?;
        let held = order.into_iter().filter_map(|name| {
            let value = outputs.remove(&name)?;
            Some((name, from_value(&value)?))
        });
        Ok(held.collect())
    }

    fn node_times(&mut self, runs: NodeRuns) -> Result<Option<Vec<NodeTime>>> {
        let Some(folder) = self.profile.take() else {
            return Ok(None);
        };
        for _ in 1..runs.warmup {
            self.run()?;
        }
        let stop = self.stop.clone();
        let launches = traced(&stop, || (0..runs.timed).try_for_each(|_| self.run().map(drop)))?;
        let start_ns = self.session.profiling_start_ns()?;
        let node_runs = end_profile(&mut self.session, &stop)?;
        drop(folder);
        Ok(node_kernels(node_runs, start_ns, launches, runs.timed))
    }
}
