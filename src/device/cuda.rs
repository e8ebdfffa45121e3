//! ONNX Runtime's CUDA provider, on a stream of ours, timed by events.

use std::collections::BTreeMap;
use std::sync::Arc;

use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUevent_flags};
use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError};
use ort::ep::CUDA;
use ort::ep::ExecutionProviderDispatch;
use ort::ep::cuda::ConvAlgorithmSearch;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::IoBinding;
use ort::session::{RunOptions, Session};

use super::conditions::ConditionsReader;
use super::cuda_versions::versions;
use super::node_times::NodeTime;
use super::outputs::{bind, run};
use super::products::{CudaProducts, Products};
use super::runtime::{Runtime, run_once, tensors};
use super::session_from_memory::commit;
use super::trace::{cupti_present, traced};
use super::values::to_value;
use super::versions::GPU_PACKAGE;
use super::{Conditions, Device, DeviceInfo, Kernel, Named, Runner, Stop, Timed, fingerprint};
use crate::{Error, Result};

/// How cuDNN picks a convolution's algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CudnnAlgo {
    /// Times all of them when the model is loaded.
    #[default]
    Exhaustive,
    /// Asks cuDNN's heuristics.
    Heuristic,
    /// Takes the default one.
    Default,
}

impl CudnnAlgo {
    fn name(self) -> &'static str {
        match self {
            Self::Exhaustive => "exhaustive",
            Self::Heuristic => "heuristic",
            Self::Default => "default",
        }
    }
}

/// Options of the CUDA provider that times depend on.
#[derive(Clone, Copy, Debug)]
pub struct CudaOptions {
    /// How cuDNN picks algorithms.
    pub algo: CudnnAlgo,
    /// Convolutions in channels-last layout.
    pub nhwc: bool,
    /// float32 products in TF32.
    pub tf32: bool,
    /// Models captured once as CUDA graphs and replayed.
    pub graph: bool,
}

impl Default for CudaOptions {
    fn default() -> Self {
        Self {
            algo: CudnnAlgo::Exhaustive,
            nhwc: false,
            tf32: true,
            graph: false,
        }
    }
}

/// One NVIDIA GPU.
pub struct CudaDevice {
    runtime: Runtime,
    options: CudaOptions,
    index: usize,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    info: DeviceInfo,
    conditions: Option<ConditionsReader>,
    products: Option<CudaProducts>,
}

fn driver(error: DriverError) -> Error {
    Error::Device(format!("CUDA driver: {error}"))
}

/// The number of GPUs that the driver shows; 0 without a driver.
pub fn gpu_count() -> usize {
    // SAFETY: only tries to open the driver's library, and not from where this process was started.
    if super::environments::planted().is_some() || !unsafe { sys::is_culib_present() } {
        return 0;
    }
    CudaContext::device_count().map_or(0, |n| usize::try_from(n).unwrap_or(0))
}

/// Whether there is an NVIDIA GPU and a CUDA provider beside ONNX Runtime.
pub fn gpu_present(runtime: &Runtime) -> bool {
    provider_beside(runtime) && gpu_count() > 0
}

/// Whether a CUDA provider lies beside ONNX Runtime.
pub fn provider_beside(runtime: &Runtime) -> bool {
    runtime
        .library
        .parent()
        .is_some_and(|folder| folder.join("libonnxruntime_providers_cuda.so").is_file())
}

/// Has ONNX Runtime load the provider.
fn loads(runtime: &Runtime, index: usize, provider: ExecutionProviderDispatch) -> Result<()> {
    let failed = |e: Error| {
        Error::Device(format!(
            "--gpu {index}: the CUDA provider does not load: {e}\nInstall CUDA 13 and cuDNN 9, for example with\n    \
             pip install '{GPU_PACKAGE}'\nor use --cpu; `snapprune doctor` shows which library is missing"
        ))
    };
    runtime.builder(1, &[provider]).map(|_| ()).map_err(failed)
}

impl CudaDevice {
    /// GPU `index`.
    ///
    /// # Errors
    /// When there is no such GPU, no driver, or no CUDA provider; the message says what to install.
    pub fn new(runtime: Runtime, index: usize, options: CudaOptions) -> Result<Self> {
        let count = gpu_count();
        if count == 0 {
            return Err(Error::Device(format!(
                "--gpu {index}: no NVIDIA GPU is visible (no driver, or none in CUDA_VISIBLE_DEVICES). \
                 Install the NVIDIA driver, or use --cpu"
            )));
        }
        if index >= count {
            return Err(Error::Device(format!(
                "--gpu {index}: this machine has {count} GPU(s), numbered from 0"
            )));
        }
        if !provider_beside(&runtime) {
            return Err(Error::Device(format!(
                "--gpu {index}: {} has no CUDA provider. Install it with\n    \
                 pip install '{GPU_PACKAGE}'\nor use --cpu",
                runtime.library.display()
            )));
        }
        runtime.preload();
        let context = CudaContext::new(index).map_err(driver)?;
        let stream = context.new_stream().map_err(driver)?;
        let place = |a| context.attribute(a).ok();
        let bus = place(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID)
            .zip(place(Attribute::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID))
            .zip(place(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID))
            .map(|((domain, bus), device)| format!("{domain:08X}:{bus:02X}:{device:02X}.0"));
        let products = CudaProducts::new(stream.clone());
        let mut device = Self {
            products,
            runtime,
            options,
            index,
            context,
            stream,
            info: DeviceInfo::default(),
            conditions: bus.and_then(ConditionsReader::new),
        };
        loads(&device.runtime, index, device.provider())?;
        // Once the provider is loaded, so that the versions are of the libraries that it uses.
        device.info = describe(&device.runtime, &device.context, options)?;
        Ok(device)
    }

    fn provider(&self) -> ExecutionProviderDispatch {
        let graph = self.options.graph;
        let options = self.options_of(match self.options.algo {
            CudnnAlgo::Exhaustive => ConvAlgorithmSearch::Exhaustive,
            CudnnAlgo::Heuristic => ConvAlgorithmSearch::Heuristic,
            CudnnAlgo::Default => ConvAlgorithmSearch::Default,
        });
        // SAFETY: the stream is kept alive by this target and by every session made here.
        let options = unsafe { options.with_compute_stream(self.stream.cu_stream().cast()) };
        let options = if graph { options.with_cuda_graph(true) } else { options };
        options.build().error_on_failure()
    }

    fn options_of(&self, search: ConvAlgorithmSearch) -> CUDA {
        CUDA::default()
            .with_device_id(self.index as i32)
            .with_conv_algorithm_search(search)
            .with_prefer_nhwc(self.options.nhwc)
            .with_tf32(self.options.tf32)
    }

    fn session(&self, model: &[u8], strict: bool) -> Result<Session> {
        let mut builder = self.runtime.builder(1, &[self.provider()])?;
        if strict {
            builder = builder.with_disable_cpu_fallback()?;
        }
        commit(builder, model)
    }

    fn on_gpu(&self, model: &[u8], inputs: &[Named], strict: bool) -> Result<OnGpu> {
        let session = self.session(model, strict)?;
        let mut binding = session.create_binding()?;
        for (name, tensor) in inputs {
            binding.bind_input(name.as_str(), &to_value(name, tensor)?)?;
        }
        binding.synchronize_inputs()?;
        let memory = MemoryInfo::new(
            AllocationDevice::CUDA,
            self.index as i32,
            AllocatorType::Device,
            MemoryType::Default,
        )?;
        bind(&session, &mut binding, &memory)?;
        let mut options = RunOptions::new()?;
        options.disable_device_sync()?;
        let event = || {
            self.context
                .new_event(Some(CUevent_flags::CU_EVENT_DEFAULT))
                .map_err(driver)
        };
        let mut on_gpu = OnGpu {
            session,
            binding,
            memory,
            renewed: false,
            options,
            stream: self.stream.clone(),
            start: event()?,
            end: event()?,
            repeats: 1,
            stop: self.runtime.stop.clone(),
        };
        on_gpu.settle()?;
        Ok(on_gpu)
    }
}

fn describe(runtime: &Runtime, context: &CudaContext, options: CudaOptions) -> Result<DeviceInfo> {
    let attribute = |a: Attribute| context.attribute(a).map(|v| v.to_string()).map_err(driver);
    let (major, minor) = context.compute_capability().map_err(driver)?;
    let name = context.name().map_err(driver)?;
    let mut facts = BTreeMap::from([
        ("model".to_owned(), name.clone()),
        ("compute_capability".to_owned(), format!("{major}.{minor}")),
        (
            "memory_bytes".to_owned(),
            context.total_mem().map_err(driver)?.to_string(),
        ),
    ]);
    for (fact, id) in [
        ("multiprocessors", Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
        (
            "threads_per_multiprocessor",
            Attribute::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR,
        ),
        (
            "registers_per_multiprocessor",
            Attribute::CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR,
        ),
        (
            "shared_memory_per_multiprocessor",
            Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR,
        ),
        (
            "blocks_per_multiprocessor",
            Attribute::CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR,
        ),
        ("l2_bytes", Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE),
        ("warp", Attribute::CU_DEVICE_ATTRIBUTE_WARP_SIZE),
    ] {
        facts.insert(fact.to_owned(), attribute(id)?);
    }
    let driver_version = std::fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    let driver_version = driver_version
        .split_whitespace()
        .find(|w| w.contains('.') && w.starts_with(|c: char| c.is_ascii_digit()))
        .unwrap_or("unknown");
    Ok(DeviceInfo {
        kind: "cuda".to_owned(),
        name,
        fingerprint: fingerprint(&facts),
        stack: format!(
            "onnxruntime {} cuda driver={driver_version} {} cudnn_conv_algo_search={} tf32={} nhwc={}{}",
            runtime.version,
            versions(),
            options.algo.name(),
            if options.tf32 { "on" } else { "off" },
            if options.nhwc { "on" } else { "off" },
            if options.graph { " cuda_graph=on" } else { "" },
        ),
        facts,
        // The fingerprint is as it always was.
        former: Vec::new(),
    })
}

impl Device for CudaDevice {
    fn stop(&self) -> Stop {
        self.runtime.stop.clone()
    }

    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn load(&self, model: &[u8], inputs: &[Named], strict: bool) -> Result<Box<dyn Timed>> {
        Ok(Box::new(self.on_gpu(model, inputs, strict)?))
    }

    fn outputs(&self, model: &[u8], inputs: &[Named]) -> Result<Vec<Named>> {
        if self.options.graph {
            // A graph's memory is bound; a run for its values is not worth one.
            return self.runner(model)?.run_tensors(inputs);
        }
        let outputs = run_once(self.session(model, false)?, inputs)?;
        self.stream.synchronize().map_err(driver)?;
        Ok(tensors(outputs))
    }

    fn runner(&self, model: &[u8]) -> Result<Runner> {
        // A stream of ONNX Runtime's own, so that outputs are there when a run returns; no long search for
        // algorithms, since such models are many and run a few times each.
        let provider = self
            .options_of(ConvAlgorithmSearch::Heuristic)
            .build()
            .error_on_failure();
        let session = commit(self.runtime.builder(0, &[provider])?, model)?;
        Ok(Runner::new(session, &self.runtime.stop))
    }

    fn outputs_plain(&self, model: &[u8], inputs: &[Named]) -> Result<Vec<Named>> {
        Ok(tensors(self.runtime.run_plain(model, inputs)?))
    }

    fn node_times(&self, _: &[u8], _: &[Named], _: usize, _: usize) -> Result<Option<Vec<NodeTime>>> {
        Ok(None)
    }

    fn kernels(&self, model: &[u8], inputs: &[Named]) -> Result<Option<Vec<Kernel>>> {
        if !cupti_present() {
            return Ok(None);
        }
        let mut timed = self.on_gpu(model, inputs, true)?;
        timed.repeats = 1;
        traced(|| timed.sample().map(|_| ())).map(Some)
    }

    fn products(&self) -> Option<&dyn Products> {
        self.products.as_ref().map(|p| p as &dyn Products)
    }

    fn unit(&self) -> String {
        let hex = |byte: &std::ffi::c_char| format!("{byte:02x}");
        match self.context.uuid() {
            Ok(uuid) => format!("cuda-{}", uuid.bytes.iter().map(hex).collect::<String>()),
            Err(_) => format!("cuda-{}", self.index),
        }
    }

    fn conditions(&self) -> Option<Conditions> {
        self.conditions.as_ref().and_then(ConditionsReader::read)
    }
}

/// A session whose inputs and outputs live on the GPU.
struct OnGpu {
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
}

/// Warm-up ends when two samples differ by less than this.
const STEADY: f64 = 0.02;

impl OnGpu {
    /// Runs without waiting `repeats` times between two events, so that the launches of one run
    /// hide behind the work of the one before, as under load.
    fn sample(&mut self) -> Result<f64> {
        self.start.record(&self.stream).map_err(driver)?;
        for _ in 0..self.repeats {
            let parts = (&mut self.session, &mut self.binding);
            run(parts.0, parts.1, &self.memory, Some(&self.options), &mut self.renewed)?;
        }
        self.end.record(&self.stream).map_err(driver)?;
        let total = self.start.elapsed_ms(&self.end).map_err(driver)?;
        Ok(f64::from(total) / self.repeats as f64)
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
}

impl Timed for OnGpu {
    fn run(&mut self) -> Result<f64> {
        self.stop.check()?;
        self.sample()
    }

    fn repeats(&self) -> usize {
        self.repeats
    }

    fn set_repeats(&mut self, repeats: usize) {
        self.repeats = repeats.max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::{CUDA, loads};
    use crate::device::Runtime;

    #[test]
    fn a_provider_that_does_not_load_says_what_to_install() {
        let runtime = Runtime::load(None).unwrap();
        if super::gpu_present(&runtime) {
            return;
        }
        let error = loads(&runtime, 0, CUDA::default().build().error_on_failure())
            .unwrap_err()
            .to_string();
        for part in ["--gpu 0", "does not load", "pip install", "--cpu", "doctor"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
