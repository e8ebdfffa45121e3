//! Memory that samples may take.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// Where nothing is known of the machine's memory.
const UNKNOWN: u64 = 5 << 30;

/// Bytes that may be held between the parts of the networks: half of what this process can have now, within the limit of its control group.
pub(super) fn held_bytes() -> u64 {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let Ok(system) = System::new_with_specifics(memory) else {
        return UNKNOWN;
    };
    let limited = system.cgroup_limits().map(|limits| limits.free_memory);
    match system.available_memory() {
        0 => UNKNOWN,
        free => limited.map_or(free, |l| l.min(free)) / 2,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn some_memory_is_available() {
        let held = super::held_bytes();
        assert!(held > 1 << 20 && held < 1 << 50, "{held}");
    }
}
