//! Flags of the device and its library.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use crate::device::{CudaOptions, CudnnAlgo};
use crate::jobs::{DeviceChoice, DeviceSettings, SettingsSearch};

/// Which device, and which ONNX Runtime.
#[derive(Clone, Debug, ClapArgs)]
pub struct DeviceArgs {
    /// Use this NVIDIA GPU [default: GPU 0 if there is one, else the CPU].
    #[arg(long, value_name = "N", conflicts_with = "cpu")]
    pub gpu: Option<usize>,
    /// Use the CPU.
    #[arg(long)]
    pub cpu: bool,
    /// Threads within a node on the CPU [default: as many as a plain InferenceSession of ONNX Runtime has here].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub threads: usize,
    /// How cuDNN picks a convolution's algorithm (GPU).
    #[arg(long, value_enum, default_value_t)]
    pub cudnn_algo: CudnnAlgo,
    /// Convolutions in channels-last layout (GPU).
    #[arg(long)]
    pub nhwc: bool,
    /// float32 products in TF32 (GPU).
    #[arg(long, value_enum, default_value = "on")]
    pub tf32: Switch,
    /// Capture each model once as a CUDA graph and replay it, as servers do (GPU).
    #[arg(long, conflicts_with = "cpu")]
    pub cuda_graph: bool,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

impl DeviceArgs {
    /// The same as settings.
    pub fn settings(&self) -> DeviceSettings {
        DeviceSettings {
            choice: match (self.gpu, self.cpu) {
                (Some(index), _) => DeviceChoice::Gpu(index),
                (None, true) => DeviceChoice::Cpu,
                (None, false) => DeviceChoice::Auto,
            },
            threads: self.threads,
            cuda: CudaOptions {
                algo: self.cudnn_algo,
                nhwc: self.nhwc,
                tf32: self.tf32 == Switch::On,
                graph: self.cuda_graph,
            },
            search: SettingsSearch::Given,
            library: self.ort_lib.clone(),
        }
    }
}
