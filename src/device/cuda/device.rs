//! A GPU as a device.

use cudarc::driver::CudaContext;
use cudarc::driver::sys::CUdevice_attribute as Attribute;
use ort::ep::ExecutionProviderDispatch;
use ort::session::Session;

use super::describe::describe;
use super::driver::{driver, gpu_count, provider_beside};
use super::options::{CudaOptions, CudnnAlgo};
use super::timing::{Gpu, OnGpu};
use crate::device::conditions::{Conditions, ConditionsReader};
use crate::device::device_tensor::Runner;
use crate::device::executor::Executor;
use crate::device::foreign::ForeignCall;
use crate::device::info::DeviceInfo;
use crate::device::interface::Device;
use crate::device::kept_runners::KeptRunners;
use crate::device::node_times::NodeTime;
use crate::device::products::{CudaProducts, Products};
use crate::device::run::Run;
use crate::device::runtime::{Runtime, tensors};
use crate::device::session_from_memory::commit;
use crate::device::stop::Stop;
use crate::device::timer::{CpuFallback, ModelRun, NodeClock, NodeRuns, TimedSession, Timer};
use crate::device::together::{cores, on_threads};
use crate::device::trace::{Kernel, cupti_present, traced};
use crate::device::values::NamedTensor;
use crate::error::DeviceError;
use crate::{Error, Result};

/// One NVIDIA GPU.
pub struct CudaDevice {
    runtime: Runtime,
    options: CudaOptions,
    gpu: Gpu,
    info: DeviceInfo,
    conditions: Option<ConditionsReader>,
    products: Option<CudaProducts>,
    /// Whether kernels can be traced.
    traces: bool,
    /// Models that were run for their outputs; what is timed has the device for itself.
    kept: KeptRunners<Runner>,
}

/// Has ONNX Runtime load the provider.
fn loads(runtime: &Runtime, index: usize, provider: ExecutionProviderDispatch) -> Result<()> {
    let failed = |e: Error| match e.is_out_of_memory() {
        true => e,
        false => Error::Device(DeviceError::CudaNotLoaded {
            index,
            why: e.to_string(),
        }),
    };
    runtime.builder(1, &[provider]).map(|_| ()).map_err(failed)
}

impl CudaDevice {
    /// GPU `index`.
    ///
    /// # Errors
    /// When there is no such GPU, no driver, or no CUDA provider: see [`DeviceError`].
    pub fn new(runtime: Runtime, index: usize, options: CudaOptions) -> Result<Self> {
        let _call = runtime.stop.enter(ForeignCall::Model)?;
        let count = gpu_count();
        if count == 0 {
            return Err(Error::Device(DeviceError::NoGpu { index }));
        }
        if index >= count {
            return Err(Error::Device(DeviceError::NoSuchGpu { index, count }));
        }
        if !provider_beside(&runtime) {
            return Err(Error::Device(DeviceError::NoCudaProvider {
                library: runtime.library.clone(),
            }));
        }
        runtime.preload();
        let context = CudaContext::new(index).map_err(driver)?;
        let stream = context.new_stream().map_err(driver)?;
        let place = |a| context.attribute(a).ok();
        let bus = place(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID)
            .zip(place(Attribute::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID))
            .zip(place(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID))
            .map(|((domain, bus), device)| format!("{domain:08X}:{bus:02X}:{device:02X}.0"));
        let products = CudaProducts::new(stream.clone(), &runtime.stop);
        let mut device = Self {
            products,
            runtime,
            options,
            gpu: Gpu { index, context, stream },
            info: DeviceInfo::default(),
            conditions: bus.and_then(ConditionsReader::new),
            traces: false,
            kept: KeptRunners::default(),
        };
        loads(&device.runtime, index, device.provider())?;
        device.traces = cupti_present() && traced(&device.runtime.stop, || Ok(())).is_ok();
        // Once the provider is loaded, so that the versions are of the libraries that it uses.
        device.info = describe(&device.runtime, &device.gpu.context, options, device.traces)?;
        Ok(device)
    }

    /// Bytes of memory that are free, and all.
    fn memory_bytes(&self) -> Option<(usize, usize)> {
        let _call = self.runtime.stop.under_way(ForeignCall::Model);
        self.gpu.context.mem_get_info().ok()
    }

    /// Whether half of the memory is free: then models may stay loaded beside those that are run.
    fn is_roomy(&self) -> bool {
        self.memory_bytes().is_some_and(|(free, all)| free > all / 2)
    }

    fn provider(&self) -> ExecutionProviderDispatch {
        self.provider_of(self.options)
    }

    fn provider_of(&self, options: CudaOptions) -> ExecutionProviderDispatch {
        let graph = options.graph;
        let options = options.provider(self.gpu.index);
        // SAFETY: the stream is kept alive by this device and by every session made here.
        let options = unsafe { options.with_compute_stream(self.gpu.stream.cu_stream().cast()) };
        let options = if graph { options.with_cuda_graph(true) } else { options };
        options.build().error_on_failure()
    }

    fn session(&self, model: &[u8], fallback: CpuFallback) -> Result<Session> {
        self.kept.clear();
        let mut builder = self.runtime.builder(1, &[self.provider()])?;
        if fallback == CpuFallback::Forbidden {
            builder = builder.with_disable_cpu_fallback()?;
        }
        commit(builder, model, &self.runtime.stop)
    }

    /// A session that writes a profile.
    fn profiled(&self, run: ModelRun, fallback: CpuFallback) -> Result<OnGpu> {
        self.kept.clear();
        let folder = tempfile::tempdir().map_err(|e| Error::file("temporary folder", e))?;
        // A captured graph has no nodes; its kernels are the same.
        let plain = self.provider_of(CudaOptions {
            graph: false,
            ..self.options
        });
        let mut builder = self.runtime.builder(1, &[plain])?;
        if fallback == CpuFallback::Forbidden {
            builder = builder.with_disable_cpu_fallback()?;
        }
        let session = commit(
            builder.with_profiling(folder.path().join("profile"))?,
            run.model,
            &self.runtime.stop,
        )?;
        let on_gpu = OnGpu::new(&self.gpu, session, run.inputs, self.runtime.stop.clone())?;
        Ok(on_gpu.watched(folder))
    }

    fn on_gpu(&self, model: &[u8], inputs: &[NamedTensor], fallback: CpuFallback) -> Result<OnGpu> {
        let session = self.session(model, fallback)?;
        OnGpu::new(&self.gpu, session, inputs, self.runtime.stop.clone())
    }
}

impl Device for CudaDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(self)
    }

    fn unit(&self) -> String {
        let hex = |byte: &std::ffi::c_char| format!("{byte:02x}");
        match self.gpu.context.uuid() {
            Ok(uuid) => format!("cuda-{}", uuid.bytes.iter().map(hex).collect::<String>()),
            Err(_) => format!("cuda-{}", self.gpu.index),
        }
    }

    fn stop(&self) -> Stop {
        self.runtime.stop.clone()
    }
}

impl Timer for CudaDevice {
    fn prepare(&self, model: &[u8], inputs: &[NamedTensor], fallback: CpuFallback) -> Result<Box<dyn TimedSession>> {
        Ok(Box::new(self.on_gpu(model, inputs, fallback)?))
    }

    /// Kernels of a captured graph belong to no node, so where graphs are captured the session that is traced is another.
    fn prepare_watched(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Option<Box<dyn TimedSession>>> {
        if !self.traces || self.options.graph {
            return Ok(None);
        }
        let session = self.profiled(ModelRun { model, inputs }, CpuFallback::Allowed)?;
        Ok(Some(Box::new(session)))
    }

    /// cuDNN picks a convolution's kernels on the host, by a model of their times. For transposed ones ONNX Runtime has it time them.
    fn prepares_together(&self, model: &[u8]) -> bool {
        const TIMED: &[u8] = b"ConvTranspose";
        self.options.algo != CudnnAlgo::Exhaustive || !model.windows(TIMED.len()).any(|part| part == TIMED)
    }

    fn node_times(&self, model: &[u8], inputs: &[NamedTensor], runs: NodeRuns) -> Result<Option<Vec<NodeTime>>> {
        if !self.traces {
            return Ok(None);
        }
        let mut profiled = self.profiled(ModelRun { model, inputs }, runs.fallback)?;
        profiled.first_run()?;
        profiled.node_times(runs)
    }

    fn node_times_of_all(
        &self,
        models: &[ModelRun],
        runs: NodeRuns,
        loaded: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Vec<Option<Vec<NodeTime>>>> {
        if !self.traces || !models.iter().all(|m| self.prepares_together(m.model)) {
            loaded()?;
            let alone = models.iter().map(|m| self.node_times(m.model, m.inputs, runs));
            return alone.collect();
        }
        let prepared = on_threads(models.to_vec(), cores(), &|model| self.profiled(model, runs.fallback));
        let prepared = prepared.into_iter().collect::<Result<Vec<OnGpu>>>()?;
        let ran = on_threads(prepared, cores(), &|mut profiled| {
            profiled.first_run()?;
            Ok(profiled)
        });
        loaded()?;
        ran.into_iter().map(|session| session?.node_times(runs)).collect()
    }

    fn node_clock(&self) -> NodeClock {
        match self.traces {
            true => NodeClock::Device,
            false => NodeClock::Host,
        }
    }

    fn kernels(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Option<Vec<Kernel>>> {
        if !cupti_present() {
            return Ok(None);
        }
        let mut timed = self.on_gpu(model, inputs, CpuFallback::Forbidden)?;
        timed.first_run()?;
        timed.settle()?;
        timed.set_repeats(1);
        let launches = traced(&self.runtime.stop, || timed.sample().map(|_| ()))?;
        Ok(Some(
            launches
                .into_iter()
                .map(|l| l.kernel)
                .filter(Kernel::has_grid)
                .collect(),
        ))
    }

    fn conditions(&self) -> Option<Conditions> {
        self.conditions.as_ref().and_then(ConditionsReader::read)
    }
}

impl Executor for CudaDevice {
    fn outputs(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        // A run for its values is worth neither a captured graph nor a long search for algorithms.
        let mut outputs = Vec::new();
        self.with_runner(model, &mut |runner| {
            outputs = runner.run_tensors(inputs)?;
            Ok(())
        })?;
        Ok(outputs)
    }

    fn runner(&self, model: &[u8]) -> Result<Runner> {
        if !self.is_roomy() {
            self.kept.clear();
        }
        // A stream of ONNX Runtime's own, so that outputs are there when a run returns; no long search for
        // algorithms, since such models are many and run a few times each.
        let provider = self.options.provider_at_once(self.gpu.index).build().error_on_failure();
        let session = commit(self.runtime.builder(0, &[provider])?, model, &self.runtime.stop)?;
        Runner::new(session, &self.runtime.stop).on_gpu(self.gpu.index)
    }

    fn deployed(&self, model: &[u8]) -> Result<Runner> {
        let provider = self.options.provider(self.gpu.index).build().error_on_failure();
        let session = commit(self.runtime.builder(0, &[provider])?, model, &self.runtime.stop)?;
        Runner::new(session, &self.runtime.stop).on_gpu(self.gpu.index)
    }

    fn with_runner(&self, model: &[u8], run: &mut dyn FnMut(&mut Runner) -> Result<()>) -> Result<()> {
        let hash = blake3::hash(model);
        let mut runner = match self.kept.take(&hash) {
            Some(runner) => runner,
            None => self.runner(model)?,
        };
        run(&mut runner)?;
        match self.is_roomy() {
            true => self.kept.keep(hash, runner),
            false => self.kept.clear(),
        }
        Ok(())
    }

    fn memory(&self) -> Option<u64> {
        self.memory_bytes().map(|(free, _)| free as u64)
    }

    fn outputs_plain(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        Ok(tensors(self.runtime.run_plain(model, inputs)?))
    }

    fn loaded<'m>(&'m self, model: &'m [u8]) -> Result<Run<'m>> {
        let mut runner = self.runner(model)?;
        Ok(Box::new(move |inputs| runner.run_tensors(inputs)))
    }

    fn loaded_plain<'m>(&'m self, model: &'m [u8]) -> Result<Run<'m>> {
        self.runtime.loaded_plain(model)
    }

    fn products(&self) -> Option<&dyn Products> {
        self.products.as_ref().map(|p| p as &dyn Products)
    }
}

#[cfg(test)]
mod tests {
    use ort::ep::CUDA;

    use super::{DeviceError, Error, loads};
    use crate::device::Runtime;

    #[test]
    fn a_provider_that_does_not_load_is_an_error_of_its_own() {
        let runtime = Runtime::load(None).unwrap();
        if crate::device::gpu_present(&runtime) {
            return;
        }
        let error = loads(&runtime, 0, CUDA::default().build().error_on_failure()).unwrap_err();
        assert!(
            matches!(error, Error::Device(DeviceError::CudaNotLoaded { index: 0, .. })),
            "{error}"
        );
    }
}
