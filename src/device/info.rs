//! What a device is, as far as latency depends on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The kind of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// ONNX Runtime's CPU provider.
    #[default]
    Cpu,
    /// ONNX Runtime's CUDA provider.
    Cuda,
    /// A provider that ONNX Runtime loads as a plug-in.
    Plugin,
}

impl DeviceKind {
    /// The kind in lower case, as in reports and names of locks.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Plugin => "plugin",
        }
    }
}

/// What a device is, as far as latency depends on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// Its kind.
    pub kind: DeviceKind,
    /// The processor's name.
    pub name: String,
    /// A short hash of everything below the software that latency depends on.
    pub fingerprint: String,
    /// The software and its options: times from another stack are not mixed with these.
    pub stack: String,
    /// Further facts (SIMD, cores; multiprocessors, limits), by name.
    pub facts: BTreeMap<String, String>,
    /// Fingerprints of this very device in earlier versions, which looked at fewer facts.
    #[serde(skip)]
    pub former: Vec<String>,
}

impl DeviceInfo {
    /// Whether a fingerprint is this device's, now or in an earlier version.
    pub fn answers_to(&self, fingerprint: &str) -> bool {
        self.fingerprint == fingerprint || self.former.iter().any(|f| f == fingerprint)
    }

    /// Whether runs are captured as CUDA graphs and replayed.
    pub fn captures_runs(&self) -> bool {
        self.stack.contains("cuda_graph=on")
    }

    /// Whether its integer kernels add products of 8-bit integers in 16 bits, which may saturate: those for AVX2, without VNNI.
    pub fn adds_in_16_bits(&self) -> bool {
        let instructions = self.facts.get("instructions").map_or("", String::as_str);
        let x86 = instructions.contains("fma") || cfg!(target_arch = "x86_64");
        self.kind == DeviceKind::Cpu && x86 && !instructions.contains("vnni")
    }
}

/// A short hash of a device's facts.
pub(super) fn fingerprint(facts: &BTreeMap<String, String>) -> String {
    let described: Vec<String> = facts.iter().map(|(k, v)| format!("{k}={v}")).collect();
    blake3::hash(described.join(";").as_bytes()).to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::{DeviceInfo, DeviceKind};

    #[test]
    fn integer_products_of_avx2_may_saturate_and_those_of_vnni_do_not() {
        let with = |kind, instructions: &str| DeviceInfo {
            kind,
            facts: [("instructions".to_owned(), instructions.to_owned())].into(),
            ..DeviceInfo::default()
        };
        assert!(with(DeviceKind::Cpu, "fma f16c").adds_in_16_bits());
        assert!(!with(DeviceKind::Cpu, "fma f16c avx512bw avx512_vnni").adds_in_16_bits());
        assert!(!with(DeviceKind::Cuda, "fma").adds_in_16_bits());
    }
}
