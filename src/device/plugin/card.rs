//! Whose turn it is on a plug-in's device: the same card is the same, whichever provider uses it.

use std::path::Path;

use ort::device::Device;

use super::registered;
use super::slot::PluginTarget;
use crate::device::info::DeviceKind;

/// Where NVIDIA's driver tells of its cards, a folder each, named by their place on the bus.
const NVIDIA: &str = "/proc/driver/nvidia/gpus";

/// The name of the turn on a device ([`crate::device::Device::unit`]); `index`: which it is of the devices that its provider offers of
/// its kind, for hardware that ONNX Runtime does not place.
pub(super) fn unit(device: &Device<'_>, index: usize) -> String {
    let kind = registered::target(device);
    if kind == PluginTarget::Cpu {
        // It shares the processor with the CPU provider.
        return DeviceKind::Cpu.name().to_owned();
    }
    let place = registered::hardware(device, c"pci_bus_id");
    if let Some(uuid) = place.as_deref().and_then(|p| uuid(Path::new(NVIDIA), p)) {
        return format!("cuda-{uuid}");
    }
    let hardware = device.hardware_device();
    let place =
        place.unwrap_or_else(|| format!("{}-{:x}-{index}", hardware.vendor().unwrap_or_default(), hardware.id()));
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name = format!("{}-{place}", kind.name()).to_lowercase();
    name.chars().map(plain).collect()
}

/// The UUID of the NVIDIA card at a place on the bus, such as `0000:01:00.0`, in hexadecimal digits as the CUDA device writes it.
fn uuid(folder: &Path, place: &str) -> Option<String> {
    let inner = place.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.'));
    let told = inner.then(|| folder.join(place.to_lowercase()).join("information"))?;
    let text = std::fs::read_to_string(told).ok()?;
    let uuid = text.lines().find_map(|line| line.strip_prefix("GPU UUID:"))?.trim();
    let digits: String = uuid.strip_prefix("GPU-")?.chars().filter(|&c| c != '-').collect();
    (digits.len() == 32 && digits.chars().all(|c| c.is_ascii_hexdigit())).then(|| digits.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::uuid;

    #[test]
    fn a_card_is_known_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let card = folder.path().join("0000:0a:00.0");
        std::fs::create_dir(&card).unwrap();
        let text = "Model: \t\t NVIDIA A100\nGPU UUID: \t GPU-0123ABCD-0000-1111-2222-333344445555\nBus Location: \t 0000:0a:00.0\n";
        std::fs::write(card.join("information"), text).unwrap();
        let found = uuid(folder.path(), "0000:0A:00.0");
        assert_eq!(found.as_deref(), Some("0123abcd000011112222333344445555"));
        assert_eq!(uuid(folder.path(), "0000:0b:00.0"), None);
        assert_eq!(uuid(folder.path(), "../0000:0a:00.0"), None);
        // A driver that does not know it yet writes question marks.
        std::fs::write(
            card.join("information"),
            "GPU UUID: GPU-????????-????-????-????-????????????\n",
        )
        .unwrap();
        assert_eq!(uuid(folder.path(), "0000:0a:00.0"), None);
    }
}
