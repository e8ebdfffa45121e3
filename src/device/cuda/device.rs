//! A GPU as a device.

use cudarc::driver::CudaContext;
use cudarc::driver::sys::CUdevice_attribute as Attribute;
use ort::ep::ExecutionProviderDispatch;
use ort::session::Session;

use super::describe::describe;
use super::driver::{driver, gpu_count, provider_beside};
use super::options::CudaOptions;
use super::timing::{Gpu, OnGpu};
use crate::device::conditions::{Conditions, ConditionsReader};
use crate::device::device_tensor::Runner;
use crate::device::executor::Executor;
use crate::device::info::DeviceInfo;
use crate::device::interface::Device;
use crate::device::products::{CudaProducts, Products};
use crate::device::runtime::{Runtime, run_once, tensors};
use crate::device::session_from_memory::commit;
use crate::device::stop::Stop;
use crate::device::timer::{CpuFallback, TimedSession, Timer};
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
        let products = CudaProducts::new(stream.clone());
        let mut device = Self {
            products,
            runtime,
            options,
            gpu: Gpu { index, context, stream },
            info: DeviceInfo::default(),
            conditions: bus.and_then(ConditionsReader::new),
        };
        loads(&device.runtime, index, device.provider())?;
        // Once the provider is loaded, so that the versions are of the libraries that it uses.
        device.info = describe(&device.runtime, &device.gpu.context, options)?;
        Ok(device)
    }

    fn provider(&self) -> ExecutionProviderDispatch {
        let graph = self.options.graph;
        let options = self.options.provider(self.gpu.index);
        // SAFETY: the stream is kept alive by this device and by every session made here.
        let options = unsafe { options.with_compute_stream(self.gpu.stream.cu_stream().cast()) };
        let options = if graph { options.with_cuda_graph(true) } else { options };
        options.build().error_on_failure()
    }

    fn session(&self, model: &[u8], fallback: CpuFallback) -> Result<Session> {
        let mut builder = self.runtime.builder(1, &[self.provider()])?;
        if fallback == CpuFallback::Forbidden {
            builder = builder.with_disable_cpu_fallback()?;
        }
        commit(builder, model)
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
    fn load(&self, model: &[u8], inputs: &[NamedTensor], fallback: CpuFallback) -> Result<Box<dyn TimedSession>> {
        Ok(Box::new(self.on_gpu(model, inputs, fallback)?))
    }

    fn kernels(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Option<Vec<Kernel>>> {
        if !cupti_present() {
            return Ok(None);
        }
        let mut timed = self.on_gpu(model, inputs, CpuFallback::Forbidden)?;
        timed.set_repeats(1);
        traced(|| timed.sample().map(|_| ())).map(Some)
    }

    fn conditions(&self) -> Option<Conditions> {
        self.conditions.as_ref().and_then(ConditionsReader::read)
    }
}

impl Executor for CudaDevice {
    fn outputs(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        if self.options.graph {
            // A graph's memory is bound; a run for its values is not worth one.
            return self.runner(model)?.run_tensors(inputs);
        }
        let outputs = run_once(self.session(model, CpuFallback::Allowed)?, inputs)?;
        self.gpu.stream.synchronize().map_err(driver)?;
        Ok(tensors(outputs))
    }

    fn runner(&self, model: &[u8]) -> Result<Runner> {
        // A stream of ONNX Runtime's own, so that outputs are there when a run returns; no long search for
        // algorithms, since such models are many and run a few times each.
        let provider = self.options.provider_at_once(self.gpu.index).build().error_on_failure();
        let session = commit(self.runtime.builder(0, &[provider])?, model)?;
        Ok(Runner::new(session, &self.runtime.stop))
    }

    fn outputs_plain(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        Ok(tensors(self.runtime.run_plain(model, inputs)?))
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
