//! Sessions on ONNX Runtime's CPU provider.

use ort::environment::Environment;
use ort::session::builder::SessionBuilder;

use crate::Result;

/// The provider's name.
pub(super) const CPU_PROVIDER: &str = "CPUExecutionProvider";

/// Names the CPU provider: where none is named, ONNX Runtime takes any plug-in that this process has loaded.
pub(super) fn on_cpu(environment: &Environment, builder: SessionBuilder) -> Result<SessionBuilder> {
    let cpu = environment
        .devices()
        .find(|d| d.ep().is_ok_and(|name| name == CPU_PROVIDER));
    Ok(builder.with_devices(cpu, None)?)
}
