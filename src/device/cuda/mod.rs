//! ONNX Runtime's CUDA provider, on a stream of ours, timed by events.

mod describe;
mod device;
mod driver;
mod node_kernels;
mod options;
mod timing;
mod versions;

pub use device::CudaDevice;
pub use driver::{gpu_count, gpu_present, provider_beside};
pub use options::{CudaOptions, CudnnAlgo};
