//! What a GPU is, as far as times depend on it.

use std::collections::BTreeMap;

use cudarc::driver::CudaContext;
use cudarc::driver::sys::CUdevice_attribute as Attribute;

use super::driver::driver;
use super::options::CudaOptions;
use super::versions::versions;
use crate::Result;
use crate::device::info::{DeviceInfo, DeviceKind, fingerprint};
use crate::device::runtime::Runtime;

/// The GPU of a context, with the versions of the libraries that are loaded.
pub(super) fn describe(
    runtime: &Runtime,
    context: &CudaContext,
    options: CudaOptions,
    traces: bool,
) -> Result<DeviceInfo> {
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
        kind: DeviceKind::Cuda,
        name,
        fingerprint: fingerprint(&facts),
        stack: format!(
            "onnxruntime {} cuda driver={driver_version} {} cudnn_conv_algo_search={} tf32={} nhwc={}{}{}",
            runtime.version,
            versions(),
            options.algo.name(),
            if options.tf32 { "on" } else { "off" },
            if options.nhwc { "on" } else { "off" },
            if options.graph { " cuda_graph=on" } else { "" },
            // Times of layers are those of kernels, or of runs with their launches.
            if traces { " times=own-kernels" } else { "" },
        ),
        facts,
        // The fingerprint is as it always was.
        former: Vec::new(),
    })
}
