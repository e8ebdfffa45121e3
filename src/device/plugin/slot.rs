//! Which of a plug-in's devices is meant.

use std::fmt;
use std::str::FromStr;

/// The kind of processor that a plug-in is to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PluginTarget {
    /// The processor.
    Cpu,
    /// A graphics processor.
    Gpu,
    /// A neural processor.
    Npu,
    /// Whatever the plug-in offers.
    #[default]
    Any,
}

impl PluginTarget {
    /// The kind in capitals, as providers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Gpu => "GPU",
            Self::Npu => "NPU",
            Self::Any => "device",
        }
    }
}

/// One of a plug-in's devices, written `GPU` or `GPU:1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PluginSlot {
    /// Its kind.
    pub kind: PluginTarget,
    /// Which of that kind, in the order in which the plug-in offers them, from 0.
    pub index: usize,
}

impl From<PluginTarget> for PluginSlot {
    /// The first of a kind.
    fn from(kind: PluginTarget) -> Self {
        Self { kind, index: 0 }
    }
}

impl fmt::Display for PluginSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            0 => f.write_str(self.kind.name()),
            index => write!(f, "{}:{index}", self.kind.name()),
        }
    }
}

impl FromStr for PluginSlot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, index) = text.split_once(':').unwrap_or((text, "0"));
        let kind = match kind.to_ascii_uppercase().as_str() {
            "CPU" => PluginTarget::Cpu,
            "GPU" => PluginTarget::Gpu,
            "NPU" => PluginTarget::Npu,
            "ANY" => PluginTarget::Any,
            _ => {
                return Err(
                    "a device is CPU, GPU, NPU or any, where there are several with a number: GPU:1".to_owned(),
                );
            }
        };
        let index = index.parse().map_err(|_| format!("'{index}' is not a number from 0"))?;
        Ok(Self { kind, index })
    }
}

#[cfg(test)]
mod tests {
    use super::{PluginSlot, PluginTarget};

    #[test]
    fn a_device_is_a_kind_and_a_number() {
        let read = |text: &str| text.parse::<PluginSlot>();
        assert_eq!(read("cpu"), Ok(PluginTarget::Cpu.into()));
        let second = read("GPU:1").unwrap();
        assert_eq!((second.kind, second.index), (PluginTarget::Gpu, 1));
        assert_eq!(read(&second.to_string()), Ok(second));
        assert_eq!(PluginSlot::from(PluginTarget::Npu).to_string(), "NPU");
        assert!(read("TPU").is_err() && read("GPU:").is_err() && read("GPU:-1").is_err());
    }
}
