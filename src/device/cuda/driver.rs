//! The NVIDIA driver: which GPUs it shows, and what its errors mean.

use cudarc::driver::{CudaContext, DriverError, sys};

use crate::Error;
use crate::device::runtime::Runtime;

/// An error of the driver.
pub(in crate::device) fn driver(error: DriverError) -> Error {
    Error::device(format!("CUDA driver: {error}"))
}

/// The number of GPUs that the driver shows; 0 without a driver.
pub fn gpu_count() -> usize {
    // SAFETY: only tries to open the driver's library, and not from where this process was started.
    if crate::device::environments::planted().is_some() || !unsafe { sys::is_culib_present() } {
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
