//! Why a device cannot be used.

use std::path::PathBuf;

use super::session::tells_out_of_memory;

/// What is wrong with a device, its driver or its libraries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The driver shows no GPU.
    #[error("GPU {index}: no NVIDIA GPU is visible (no driver, or none in CUDA_VISIBLE_DEVICES)")]
    NoGpu {
        /// The GPU asked for.
        index: usize,
    },
    /// There are fewer GPUs.
    #[error("GPU {index}: this machine has {count} GPU(s), numbered from 0")]
    NoSuchGpu {
        /// The GPU asked for.
        index: usize,
        /// GPUs that the driver shows.
        count: usize,
    },
    /// ONNX Runtime was built without the CUDA provider.
    #[error("{} has no CUDA provider", library.display())]
    NoCudaProvider {
        /// ONNX Runtime's library.
        library: PathBuf,
    },
    /// The CUDA provider or a library that it needs does not load.
    #[error("GPU {index}: the CUDA provider does not load: {why}")]
    CudaNotLoaded {
        /// The GPU asked for.
        index: usize,
        /// ONNX Runtime's message.
        why: String,
    },
    /// No package of this plug-in is installed.
    #[error("no plug-in '{name}' is among Python's packages")]
    NoPlugin {
        /// The short name asked for.
        name: String,
    },
    /// ONNX Runtime does not load a plug-in.
    #[error("ONNX Runtime {version} does not load the plug-in {}: {why}", library.display())]
    PluginNotLoaded {
        /// The plug-in's library.
        library: PathBuf,
        /// ONNX Runtime's version.
        version: String,
        /// ONNX Runtime's message.
        why: String,
    },
    /// A library does not answer: the plug-in that is being loaded, else ONNX Runtime or one of its providers with a model.
    #[error("{} has not answered for {seconds} s", asked(library.as_ref()))]
    NoAnswer {
        /// The plug-in that is being loaded.
        library: Option<PathBuf>,
        /// Since when.
        seconds: u64,
    },
    /// Another job's thread is still in a library that did not answer.
    #[error("a library that did not answer is still at work in this process, which begins no other job meanwhile")]
    LeftBehind,
    /// A plug-in offers no such device.
    #[error("the plug-in {provider} offers no {wanted} on this machine (it offers {offered})")]
    NoPluginDevice {
        /// The provider's name.
        provider: String,
        /// The device asked for.
        wanted: String,
        /// The devices that it offers.
        offered: String,
    },
    /// The device is only known from a recorded profile.
    #[error("{name} is not here; nothing can be timed on it. Run this on a machine that has it")]
    Recorded {
        /// The device's name.
        name: String,
    },
    /// The device's memory ran out.
    #[error("{0}")]
    OutOfMemory(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

fn asked(library: Option<&PathBuf>) -> String {
    match library {
        Some(library) => format!("the plug-in {}, which is being loaded,", library.display()),
        None => "ONNX Runtime, or the provider that a model was given to,".to_owned(),
    }
}

impl DeviceError {
    /// An error with a message of a driver or of another process, which may tell of memory that ran out.
    pub fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        match tells_out_of_memory(&message) {
            true => Self::OutOfMemory(message),
            false => Self::Other(message),
        }
    }
}
