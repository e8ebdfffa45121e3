//! A plug-in's device.

use std::collections::BTreeMap;
use std::path::Path;

use ort::session::Session;
use ort::session::builder::SessionBuilder;

use super::find::PluginChoice;
use super::slot::{PluginSlot, PluginTarget};
use super::{card, openvino, registered};
use crate::device::cpu::Bound;
use crate::device::device_tensor::Runner;
use crate::device::executor::Executor;
use crate::device::foreign::{ForeignCall, PLUGIN_PATIENCE};
use crate::device::info::{DeviceInfo, DeviceKind, fingerprint};
use crate::device::interface::Device;
use crate::device::node_times::end_profile;
use crate::device::on_cpu::CPU_PROVIDER;
use crate::device::processor::{Said, processor};
use crate::device::run::Run;
use crate::device::runtime::{Runtime, run, run_once, runs_of, tensors};
use crate::device::session_from_memory::commit;
use crate::device::stop::Stop;
use crate::device::timer::{CpuFallback, TimedSession, Timer};
use crate::device::values::NamedTensor;
use crate::error::DeviceError;
use crate::{Error, Result};

/// A device of a provider that ONNX Runtime loaded as a plug-in.
#[derive(Debug)]
pub struct PluginDevice {
    runtime: Runtime,
    provider: String,
    slot: PluginSlot,
    /// What no other process may time on meanwhile.
    unit: String,
    /// With the provider's name in front, as ONNX Runtime takes them.
    options: Vec<(String, String)>,
    info: DeviceInfo,
    /// For nodes that are left to the CPU provider.
    threads: usize,
}

impl PluginDevice {
    /// The device of a plug-in; `threads` within a node on the CPU (0: the provider's choice).
    ///
    /// # Errors
    /// When the plug-in is not there, does not load, or offers no such device: see [`DeviceError`].
    pub fn new(runtime: Runtime, choice: &PluginChoice, threads: usize) -> Result<Self> {
        let library = choice.library()?;
        let _loading = runtime.stop.enter(ForeignCall::Loading {
            library: library.clone(),
            patience: choice.patience.unwrap_or(PLUGIN_PATIENCE),
        })?;
        let before = providers(&runtime);
        registered::register(&runtime, &library)?;
        let provider = provider_of(&runtime, choice, &library, &before);
        let offered: Vec<&str> = registered::of(&runtime, &provider)
            .map(|d| registered::kind(&d))
            .collect();
        let Some(device) = registered::find(&runtime, &provider, choice.slot) else {
            return Err(Error::Device(DeviceError::NoPluginDevice {
                provider,
                wanted: choice.slot.to_string(),
                offered: if offered.is_empty() {
                    "none".to_owned()
                } else {
                    offered.join(", ")
                },
            }));
        };
        let kind = registered::kind(&device);
        let version = registered::metadata(&device, c"version").unwrap_or_else(|| build_of(&library));
        let vendor = device.hardware_device().vendor().unwrap_or_default().to_owned();
        let id = device.hardware_device().id();
        let options = choice.options_for(&provider, kind, threads);
        let (name, mut facts) = match registered::target(&device) {
            PluginTarget::Cpu => {
                let cpu = processor(&Said::here());
                (cpu.name, cpu.facts)
            }
            _ => {
                let facts = [("vendor".to_owned(), vendor.clone()), ("id".to_owned(), id.to_string())];
                (format!("{vendor} {kind}"), BTreeMap::from(facts))
            }
        };
        facts.insert("provider".to_owned(), provider.clone());
        facts.insert("device".to_owned(), kind.to_owned());
        let described: String = options.iter().map(|(k, v)| format!(" {k}={v}")).collect();
        let precision = openvino::precision(&options).unwrap_or_else(|| "default".to_owned());
        let info = DeviceInfo {
            kind: DeviceKind::Plugin,
            name: format!("{name} through {provider}"),
            fingerprint: fingerprint(&facts),
            stack: format!(
                "onnxruntime {} {provider} {version} device={kind} precision={precision} chains=2{described}",
                runtime.version
            ),
            facts,
            former: Vec::new(),
        };
        let options = options
            .into_iter()
            .map(|(k, v)| (format!("{provider}.{k}"), v))
            .collect();
        Ok(Self {
            unit: card::unit(&device, choice.slot.index),
            provider,
            slot: choice.slot,
            options,
            info,
            threads,
            runtime: runtime.clone(),
        })
    }

    fn builder(&self, fallback: CpuFallback) -> Result<SessionBuilder> {
        let _call = self.runtime.stop.enter(ForeignCall::Model)?;
        let device = registered::find(&self.runtime, &self.provider, self.slot);
        let mut builder = self
            .runtime
            .without_provider(self.threads)?
            .with_devices(device, Some(&self.options))?;
        if fallback == CpuFallback::Forbidden {
            builder = builder.with_disable_cpu_fallback()?;
        }
        Ok(builder)
    }

    fn session(&self, model: &[u8], fallback: CpuFallback) -> Result<Session> {
        commit(self.builder(fallback)?, model, &self.runtime.stop)
    }
}

/// What tells one build of a library from another that names no version: its size and the time of its last change.
fn build_of(library: &Path) -> String {
    let facts = std::fs::metadata(library).ok();
    let changed = facts.as_ref().and_then(|f| f.modified().ok());
    let seconds = changed.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    format!(
        "build={}-{}",
        facts.map_or(0, |f| f.len()),
        seconds.map_or(0, |s| s.as_secs())
    )
}

fn providers(runtime: &Runtime) -> Vec<String> {
    let names = runtime
        .environment
        .devices()
        .filter_map(|d| d.ep().ok().map(str::to_owned));
    names.collect()
}

/// The name of the provider: as it is named, else the one that came with the library.
fn provider_of(runtime: &Runtime, choice: &PluginChoice, library: &Path, before: &[String]) -> String {
    if choice.library.is_some() {
        return choice.name.clone();
    }
    if choice.name == "openvino" {
        return openvino::PROVIDER.to_owned();
    }
    let from_library = |d: &ort::device::Device<'_>| {
        registered::metadata(d, c"library_path").is_some_and(|path| Path::new(&path) == library)
    };
    let named = runtime
        .environment
        .devices()
        .find(from_library)
        .and_then(|d| d.ep().ok());
    let new = || providers(runtime).into_iter().find(|p| !before.contains(p));
    named
        .map(str::to_owned)
        .or_else(new)
        .unwrap_or_else(|| choice.name.clone())
}

impl Device for PluginDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn timer(&self) -> Option<&dyn Timer> {
        Some(self)
    }

    fn unit(&self) -> String {
        self.unit.clone()
    }

    fn stop(&self) -> Stop {
        self.runtime.stop.clone()
    }
}

impl Executor for PluginDevice {
    fn outputs(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        Ok(tensors(run_once(
            self.session(model, CpuFallback::Allowed)?,
            inputs,
            &self.runtime.stop,
        )?))
    }

    fn outputs_plain(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        Ok(tensors(self.runtime.run_plain(model, inputs)?))
    }

    fn loaded<'m>(&'m self, model: &'m [u8]) -> Result<Run<'m>> {
        Ok(runs_of(self.session(model, CpuFallback::Allowed)?, &self.runtime.stop))
    }

    fn loaded_plain<'m>(&'m self, model: &'m [u8]) -> Result<Run<'m>> {
        self.runtime.loaded_plain(model)
    }

    /// On the CPU provider: subgraphs are many and run a few times each, and compiling each takes longer than running it.
    fn runner(&self, model: &[u8]) -> Result<Runner> {
        let session = commit(self.runtime.builder(0, &[])?, model, &self.runtime.stop)?;
        Ok(Runner::new(session, &self.runtime.stop))
    }

    fn deployed(&self, model: &[u8]) -> Result<Runner> {
        let session = self.session(model, CpuFallback::Allowed)?;
        Ok(Runner::new(session, &self.runtime.stop))
    }
}

impl Timer for PluginDevice {
    fn prepare(&self, model: &[u8], inputs: &[NamedTensor], fallback: CpuFallback) -> Result<Box<dyn TimedSession>> {
        let mut bound = Bound::new(self.session(model, fallback)?, inputs, &self.runtime)?;
        for _ in 0..WARMUP {
            bound.run()?;
        }
        Ok(Box::new(bound))
    }

    fn left_to_cpu(&self, model: &[u8], inputs: &[NamedTensor]) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().map_err(|e| Error::file("temporary folder", e))?;
        let builder = self.builder(CpuFallback::Allowed)?;
        let mut session = commit(
            builder.with_profiling(folder.path().join("profile"))?,
            model,
            &self.runtime.stop,
        )?;
        run(&mut session, inputs, &self.runtime.stop)?;
        let runs = end_profile(&mut session, &self.runtime.stop)?;
        let left = runs.into_iter().filter(|run| run.provider == CPU_PROVIDER);
        Ok(left.map(|run| run.op).collect())
    }

    fn compiles_graphs(&self) -> bool {
        true
    }
}

/// Runs after loading: a provider may allocate and pack weights in the first ones.
const WARMUP: usize = 3;
