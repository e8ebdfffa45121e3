//! Flags of the device and its library.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args as ClapArgs, ValueEnum};

use super::units::duration;
use crate::device::{CudaOptions, CudnnAlgo, PluginChoice, PluginSlot};
use crate::jobs::{DeviceChoice, DeviceSettings, SettingsSearch};

/// Which device, and which ONNX Runtime.
#[derive(Clone, Debug, ClapArgs)]
#[command(group = ArgGroup::new("plugin").args(["ep", "ep_library"]))]
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
    /// Use a provider that is installed as a plug-in of ONNX Runtime (openvino).
    #[arg(long, value_name = "NAME", conflicts_with_all = ["cpu", "gpu", "cuda_graph", "nhwc", "cudnn_algo", "tf32"])]
    pub ep: Option<String>,
    /// The plug-in's device: CPU, GPU, NPU, or the second of several as GPU:1 [default: the first that it offers].
    #[arg(long, value_name = "KIND[:N]", requires = "plugin")]
    pub ep_device: Option<PluginSlot>,
    /// An option of the plug-in's provider (repeatable).
    #[arg(long, value_name = "K=V", value_parser = option, requires = "plugin")]
    pub ep_option: Vec<(String, String)>,
    /// The library of any other plug-in.
    #[arg(long, value_name = "FILE", requires = "ep_name", conflicts_with_all = ["cpu", "gpu", "cuda_graph", "nhwc", "cudnn_algo", "tf32"])]
    pub ep_library: Option<PathBuf>,
    /// The provider's name in that library.
    #[arg(long, value_name = "NAME", requires = "ep_library")]
    pub ep_name: Option<String>,
    /// Give the plug-in up when it has not told its devices after this time [default: 60s].
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "plugin")]
    pub ep_timeout: Option<Duration>,
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

fn option(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("an option is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl DeviceArgs {
    fn plugin(&self) -> Option<PluginChoice> {
        let name = self.ep_name.as_ref().or(self.ep.as_ref())?;
        Some(PluginChoice {
            name: name.clone(),
            library: self.ep_library.clone(),
            slot: self.ep_device.unwrap_or_default(),
            options: self.ep_option.clone(),
            patience: self.ep_timeout,
        })
    }

    /// The same as settings.
    pub fn settings(&self) -> DeviceSettings {
        let plugin = self.plugin();
        DeviceSettings {
            choice: match (self.gpu, self.cpu) {
                _ if plugin.is_some() => DeviceChoice::Plugin,
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
            plugin: plugin.unwrap_or_default(),
            search: SettingsSearch::Given,
            library: self.ort_lib.clone(),
        }
    }
}
